*** Settings ***
Documentation       A child can never do more than it was handed, seen from outside: a hostile program asks, tries by itself and gets
...                 nothing; what children made comes back by the merge only, and where two of them clash a person decides. All
...                 through the installed command, as the user that runs the tests and, where that is root, as somebody without rights.
Library             Collections
Library             resources/agents_command.py
Test Teardown       Clean Up

*** Variables ***
${CLIENT}           SEPARATOR=\n
...                 from cleveragents.guest.program_client import Client, RefusedError
...                 client = Client.connect()
...                 task = client.begin()
...                 def said(action, *arguments, **more):
...                 ${SPACE}${SPACE}${SPACE}${SPACE}try:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}return "GOT " + repr(action(*arguments, **more))
...                 ${SPACE}${SPACE}${SPACE}${SPACE}except RefusedError as error:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}return f"{error.code}: {error}"
${HOSTILE}          SEPARATOR=\n
...                 ${CLIENT}
...                 import os
...                 os.makedirs("out", exist_ok=True)
...                 out = open("out/log.txt", "w")
...                 print(said(client.open, "file:../x"), file=out)
...                 print(said(client.open, "plan:" + task["inputs"]["parent"] + "/context"), file=out)
...                 print(said(client.ask, "run_command", command="cat secret.txt"), file=out)
...                 print(said(client.ask, "read_file", path="secret.txt"), file=out)
...                 for path in ("../x", "secret.txt", "../home/cleveragents.db", "/proc/1/environ"):
...                 ${SPACE}${SPACE}${SPACE}${SPACE}try:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}print("GOT", path, open(path, "rb").read() or "nothing", file=out)
...                 ${SPACE}${SPACE}${SPACE}${SPACE}except OSError as error:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}print("no", path, file=out)
...                 for path in ("secret.txt", "worker.py", "elsewhere.txt"):
...                 ${SPACE}${SPACE}${SPACE}${SPACE}try:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}print("GOT", open(path, "w"), file=out)
...                 ${SPACE}${SPACE}${SPACE}${SPACE}except OSError as error:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}print("no", path, file=out)
...                 client.submit({"lines": 1}, "nothing to see")
${HOSTILE_PLAN}     SEPARATOR=\n
...                 name: parent
...                 steps:
...                 ${SPACE}${SPACE}- id: guest
...                 ${SPACE}${SPACE}${SPACE}${SPACE}subplan:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}name: guest
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}actor: {kind: program, command: [python3, worker.py]}
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}delegate: {tools: [read_file], read: [worker.py], write: [out/]}
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}inputs: {parent: "\${{ plan.id }}"}
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}outputs: {lines: {type: integer}}
${EDITS_PLAN}       SEPARATOR=\n
...                 name: parent
...                 steps:
...                 ${SPACE}${SPACE}- parallel:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}- subplan:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}name: one
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}delegate: {tools: [edit_file], read: ["."], write: ["."]}
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}steps: [{tool: edit_file, args: {path: a.txt, old: "\${ONE}\\n", new: "ONE\\n"}}]
...                 ${SPACE}${SPACE}${SPACE}${SPACE}- subplan:
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}name: two
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}delegate: {tools: [edit_file], read: ["."], write: ["."]}
...                 ${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}${SPACE}steps: [{tool: edit_file, args: {path: a.txt, old: "\${TWO}\\n", new: "TWO\\n"}}]
${LINES}            a\nb\nc\nd\ne\nf\ng\n

*** Test Cases ***
A Hostile Program Gets Nothing
    A Directory With A Secret
    A Hostile Program Is Refused Four Times And Reads Nothing

A Hostile Program Of An Ordinary User Gets Nothing
    A Directory With A Secret
    An Ordinary User
    A Hostile Program Is Refused Four Times And Reads Nothing

Two Children Change Different Parts Of One File
    A Directory    a_dot_txt=${LINES}
    Two Children Edit    a    g
    Run Agents    plan    run    ../plan.yaml    --apply    --format    json    expect=0
    File Should Be    a.txt    ONE\nb\nc\nd\ne\nf\nTWO\n

Two Children Change The Same Line And A Person Decides
    A Directory    a_dot_txt=${LINES}
    A Clash Is Settled

Two Children Of An Ordinary User Change The Same Line
    A Directory    a_dot_txt=${LINES}
    An Ordinary User
    A Clash Is Settled

A Child That Asks For More Than Its Parent Has Is Not Made
    A Directory    a_dot_txt=${LINES}
    Two Children Edit    a    g
    ${run}    Run Agents    plan    run    ../plan.yaml    --safety-profile    read-only    --format    json    expect=3
    Should Be Equal    ${run.data}[violations][0][kind]    delegation_refused
    Should Be Empty    ${run.data}[subplans]
    File Should Be    a.txt    ${LINES}

*** Keywords ***
A Directory With A Secret
    A Directory    secret_dot_txt=the parent's own\n    worker_dot_py=${HOSTILE}\n
    A File    x    outside of the workspace\n
    A File    plan.yaml    ${HOSTILE_PLAN}\n

A Hostile Program Is Refused Four Times And Reads Nothing
    ${before}    Directory Digest
    ${run}    Run Agents    plan    run    ../plan.yaml    --format    json    expect=0
    ${after}    Directory Digest
    Should Be Equal    ${before}    ${after}
    ${child}    Set Variable    ${run.data}[subplans][0][plan_id]
    FOR    ${plan}    IN    ${run.data}[plan_id]    ${child}
        ${status}    Run Agents    plan    status    ${plan}    --format    json    expect=0
        Length Should Be    ${status.data}[violations]    4
        ${names}    Evaluate    sorted(v["resource_name"] for v in $status.data["violations"])
        ${wanted}    Evaluate
        ...    sorted(["file:../x", "plan:" + $run.data["plan_id"] + "/context", "tool:run_command", "file:secret.txt"])
        Should Be Equal    ${names}    ${wanted}
        ${kinds}    Evaluate    {(v["kind"], v["subplan_id"]) for v in $status.data["violations"]}
        Should Be Equal    ${kinds}    ${{ {("security_boundary", $child)} }}
    END
    ${records}    Run Agents    audit    list    --plan    ${child}    --kind    violation    --format    json    expect=0
    Length Should Be    ${records.data}[records]    4
    ${diff}    Run Agents    plan    diff    ${run.data}[plan_id]    expect=0
    Should Contain    ${diff.stdout}    out/log.txt
    Should Not Contain    ${diff.stdout}    the parent's own
    Should Not Contain    ${diff.stdout}    outside of the workspace
    Should Not Contain    ${diff.stdout}    GOT
    Should Contain    ${diff.stdout}    security_boundary: tool:run_command was not handed to subplan ${child}
    Run Agents    audit    verify    expect=0

Two Children Edit
    [Arguments]    ${one}    ${two}
    ${text}    Evaluate    $EDITS_PLAN.replace("\${ONE}", $one).replace("\${TWO}", $two)
    A File    plan.yaml    ${text}\n

A Clash Is Settled
    Two Children Edit    c    c
    ${run}    Run Agents    plan    run    ../plan.yaml    --apply    --format    json    expect=5
    Should Be Equal    ${run.data}[outcome]    conflicted
    ${plan}    Set Variable    ${run.data}[plan_id]
    Run Agents    plan    apply    ${plan}    --yes    expect=2
    File Should Be    a.txt    ${LINES}
    ${open}    Run Agents    plan    conflicts    ${plan}    --format    json    expect=0
    Should Be Equal    ${open.data}[conflicts][0][path]    a.txt
    Run Agents    plan    resolve    ${plan}    a.txt    --take    theirs    expect=0
    Run Agents    plan    resume    ${plan}    expect=0
    Run Agents    plan    apply    ${plan}    --yes    expect=0
    File Should Be    a.txt    a\nb\nTWO\nd\ne\nf\ng\n
    Run Agents    audit    verify    expect=0
