*** Settings ***
Documentation       A read-only profile blocks a write, seen from outside: the file is not there, the status says why, the record
...                 verifies. The same plan writes under another profile. All through the installed command, as the
...                 user that runs the tests and, where that is root, as somebody without rights.
Library             Collections
Library             resources/agents_command.py
Test Teardown       Clean Up

*** Variables ***
${PLAN}             SEPARATOR=\n
...                 name: note
...                 steps:
...                 ${SPACE}${SPACE}- {id: look, tool: read_file, args: {path: README.md}}
...                 ${SPACE}${SPACE}- {id: note, tool: write_file, args: {path: NOTES.md, content: "\${{ steps.look.text }}"}}
${READ_ONLY_PLAN}   ${PLAN}\nsafety_profile: read-only\n
${LOOKING}          SEPARATOR=\n
...                 name: looking
...                 allowed_tools: [run_command]
...                 effects: [read, execute]
${COMMANDS}         SEPARATOR=\n
...                 name: commands
...                 steps:
...                 ${SPACE}${SPACE}- {id: cat, tool: run_command, args: {command: [cat, README.md]}}
...                 ${SPACE}${SPACE}- {id: write, tool: run_command, args: {command: "echo no > NOTES.md"}}
...                 ${SPACE}${SPACE}- {id: interfaces, tool: run_command, args: {command: "cat /proc/net/dev"}}
...                 ${SPACE}${SPACE}- {id: reach, tool: run_command, args: {command: "python3 -c 'import socket; socket.create_connection((\\"192.0.2.1\\", 80), 3)'"}}

*** Test Cases ***
A Read-Only Profile Blocks A Write
    A Directory    README_dot_md=hello\n
    A Read-Only Plan Is Refused Its Write

A Read-Only Profile Blocks A Write Of An Ordinary User
    A Directory    README_dot_md=hello\n
    An Ordinary User
    A Read-Only Plan Is Refused Its Write

The Same Plan Writes Under The Unrestricted Profile
    A Directory    README_dot_md=hello\n
    A File    plan.yaml    ${PLAN}\n
    ${run}    Run Agents    plan    run    ../plan.yaml    --apply    --format    json    expect=0
    Should Be Equal    ${run.data}[outcome]    applied
    Should Be Empty    ${run.data}[violations]
    File Should Be    NOTES.md    hello\n
    Run Agents    audit    verify    expect=0

Without Apply The Directory Stays As It Is
    A Directory    README_dot_md=hello\n
    A File    plan.yaml    ${PLAN}\n
    ${before}    Directory Digest
    ${run}    Run Agents    plan    run    ../plan.yaml    --format    json    expect=0
    ${after}    Directory Digest
    Should Be Equal    ${before}    ${after}
    ${diff}    Run Agents    plan    diff    ${run.data}[plan_id]    expect=0
    Should Contain    ${diff.stdout}    NOTES.md
    Run Agents    plan    apply    ${run.data}[plan_id]    --yes    expect=0
    File Should Be    NOTES.md    hello\n

An Effects Ceiling Lets A Command Read And Nothing Else
    A Directory    README_dot_md=hello\n
    A Looking Command Can Read And Neither Write Nor Reach Anybody

An Effects Ceiling Holds For An Ordinary User Too
    A Directory    README_dot_md=hello\n
    An Ordinary User
    A Looking Command Can Read And Neither Write Nor Reach Anybody

An Unknown Profile Starts Nothing
    A Directory    README_dot_md=hello\n
    A File    plan.yaml    ${PLAN}\n
    ${run}    Run Agents    plan    run    ../plan.yaml    --safety-profile    read-onyl    expect=2
    Should Contain    ${run.stderr}    read-only
    ${plans}    Run Agents    plan    list    --format    json    expect=0
    Should Be Empty    ${plans.data}[plans]

*** Keywords ***
A Read-Only Plan Is Refused Its Write
    A File    plan.yaml    ${READ_ONLY_PLAN}
    ${before}    Directory Digest
    ${run}    Run Agents    plan    run    ../plan.yaml    --apply    --format    json    expect=3
    File Should Be Absent    NOTES.md
    ${after}    Directory Digest
    Should Be Equal    ${before}    ${after}
    ${status}    Run Agents    plan    status    ${run.data}[plan_id]    --format    json    expect=0
    Length Should Be    ${status.data}[violations]    1
    ${violation}    Set Variable    ${status.data}[violations][0]
    Should Be Equal    ${violation}[kind]    tool_access_denied
    Should Be Equal    ${violation}[tool]    write_file
    Should Be Equal    ${violation}[profile]    read-only
    Should Not Be Empty    ${violation}[reason]
    Should Match Regexp    ${violation}[timestamp]    ^\\d{4}-\\d\\d-\\d\\dT.*Z$
    FOR    ${format}    IN    rich    plain    yaml
        ${shown}    Run Agents    plan    status    ${run.data}[plan_id]    --format    ${format}    expect=0
        Should Contain    ${shown.stdout}    write_file
        Should Contain    ${shown.stdout}    read-only
    END
    Run Agents    audit    verify    expect=0
    Change One Byte Of The Store    write_file denied
    ${verify}    Run Agents    audit    verify
    Should Be Equal As Integers    ${verify.exit_code}    1

A Looking Command Can Read And Neither Write Nor Reach Anybody
    A File    looking.yaml    ${LOOKING}\n
    A File    commands.yaml    ${COMMANDS}\nsafety_profile: looking\n
    Run Agents    safety-profile    add    ../looking.yaml    expect=0
    ${run}    Run Agents    plan    run    ../commands.yaml    --format    json    expect=0
    ${plan}    Set Variable    ${run.data}[plan_id]
    ${told}    Run Agents    audit    list    --plan    ${plan}    --kind    outcome    --format    json    expect=0
    ${cat}    ${write}    ${interfaces}    ${reach}    Values Of    ${told.data}[records]
    Should Be Equal    ${cat}[stdout]    hello\n
    Should Contain    ${write}[stderr]    Read-only file system
    Should Not Contain    ${interfaces}[stdout]    eth
    Should Not Be Equal As Integers    ${reach}[exit_code]    0
    File Should Be Absent    NOTES.md

Values Of
    [Arguments]    ${records}
    ${values}    Evaluate    [record["body"]["value"] for record in sorted($records, key=lambda r: r["position"])]
    RETURN    ${values}
