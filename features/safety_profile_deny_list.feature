Feature: A deny-list names the tools that a plan may not use
  An operator who trusts a plan with most things takes away a few by name.

  Scenario: a denied tool is refused
    Given a safety profile "no-deletes" that denies "delete_file"
    When a plan asks for "delete_file" of "README.md"
    Then the call is refused by the rule "denied_tools" of "no-deletes"
    And the reason is "profile 'no-deletes' lists 'delete_file' in denied_tools"
    And the error names the tool "delete_file" and the profile "no-deletes"

  Scenario: everything else is still allowed
    Given a safety profile "no-deletes" that denies "delete_file"
    When a plan asks to write "README.md"
    Then the call is allowed by "no-deletes: not in denied_tools"

  Scenario: a pattern denies every tool that it matches
    Given a safety profile "no-writes" that denies "write_*, edit_*"
    When a plan asks to write "README.md"
    Then the call is refused by the rule "denied_tools" of "no-writes"
    When a plan asks for "edit_file" of "README.md"
    Then the call is refused by the rule "denied_tools" of "no-writes"
    When a plan asks for "read_file" of "README.md"
    Then the call is allowed by "no-writes: not in denied_tools"

  Scenario: a misspelt name denies nothing and is told
    Given a safety profile "typo" that denies "delte_file"
    When a plan asks for "delete_file" of "README.md"
    Then the call is allowed by "typo: not in denied_tools"
    And the operator is warned that "delte_file" is no tool's name

  Scenario: one more profile can only tighten
    Given a safety profile "no-deletes" that denies "delete_file"
    And the profile "sandboxed" is in force too
    When a plan asks for "delete_file" of "README.md"
    Then the call is refused by the rule "denied_tools" of "no-deletes"
    And "sandboxed" refuses it too
    When a plan asks to write "README.md"
    Then the call is refused by the rule "effects" of "sandboxed"
    When a plan asks for "read_file" of "README.md"
    Then the call is allowed by "no-deletes: not in denied_tools; sandboxed: no list"

  Scenario: a profile that does not keep its examples is not loaded
    Given a safety profile "no-deletes" that denies "delete_file"
    When the profile promises to deny "delete_file" of "README.md"
    Then the profile is verified
    When the profile promises to deny "read_file" of "README.md"
    Then loading fails with "examples.denies[0]: read_file is allowed"

  Scenario: a subplan meets its grant before its profile
    Given a safety profile "no-deletes" that denies "delete_file"
    And a grant of "read_file, delete_file" on "docs/"
    When the subplan asks for "read_file" of "docs/a.md"
    Then the call is allowed by "grant.tools; no-deletes: not in denied_tools"
    When the subplan asks for "read_file" of "/etc/passwd"
    Then the call crosses the boundary at "file:/etc/passwd"
    When the subplan asks for "write_file" of "docs/a.md"
    Then the call crosses the boundary at "tool:write_file"
    When the subplan asks for "delete_file" of "docs/a.md"
    Then the call is refused by the rule "denied_tools" of "no-deletes"
