*** Settings ***
Documentation       The gateway, seen from outside: an MCP client's lines go in, its answers and the plan's record come out.
Library             Collections
Library             resources/agents_command.py
Library             resources/mcp_client.py
Test Teardown       Run Keywords    End The Gateway    Clean Up

*** Test Cases ***
A Client Reads And Is Refused A Write
    A Directory    README_dot_md=hello\n
    A Client Is Served Under Read-Only

A Client Of An Ordinary User Reads And Is Refused A Write
    A Directory    README_dot_md=hello\n
    An Ordinary User
    A Client Is Served Under Read-Only

What A Client Writes Lands In The Directory
    A Directory    README_dot_md=hello\n
    A Gateway    --safety-profile    unrestricted    --rw
    ${told}    Call A Tool    write_file    path=NOTES.md    content=by a client\n
    Should Not Be True    ${told}[isError]
    File Should Be    NOTES.md    by a client\n

Without Rw Nothing Is Written
    A Directory    README_dot_md=hello\n
    ${before}    Directory Digest
    A Gateway    --safety-profile    unrestricted
    ${told}    Call A Tool    run_command    command=touch NOTES.md
    Should Contain    ${told}[content][0][text]    Read-only file system
    ${after}    Directory Digest
    Should Be Equal    ${after}    ${before}

A Cancel Ends The Gateway
    A Directory    README_dot_md=hello\n
    A Gateway    --safety-profile    read-only
    ${plan}    The Gateways Plan
    Run Agents    plan    cancel    ${plan}    expect=0
    The Gateway Should End With    1
    ${status}    Run Agents    plan    status    ${plan}    --format    json    expect=0
    Should Be Equal    ${status.data}[outcome]    cancelled

*** Keywords ***
A Client Is Served Under Read-Only
    A Gateway    --safety-profile    read-only
    ${names}    Listed Tools
    List Should Not Contain Value    ${names}    write_file
    List Should Contain Value    ${names}    read_file
    ${told}    Call A Tool    read_file    path=README.md
    Should Be Equal    ${told}[content][0][text]    hello\n
    ${told}    Call A Tool    write_file    path=NOTES.md    content=no
    Should Be True    ${told}[isError]
    Should Contain    ${told}[content][0][text]    profile 'read-only' admits no tool that writes
    File Should Be Absent    NOTES.md
    ${plan}    The Gateways Plan
    ${status}    Run Agents    plan    status    ${plan}    --format    json    expect=0
    Should Be Equal    ${status.data}[state]    processing
    Should Be Equal    ${status.data}[violations][0][tool]    write_file
    End The Gateway
    ${status}    Run Agents    plan    status    ${plan}    --format    json    expect=0
    Should Be Equal    ${status.data}[state]    complete
    Run Agents    audit    verify    expect=0
