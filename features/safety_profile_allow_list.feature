Feature: An allow-list names the tools that a plan may use
  An operator who lists the tools of a profile wants those and no others,
  whatever else the profile says about names.

  Scenario: a listed tool is admitted
    Given a safety profile "reviewer" that allows "read_file, search_files"
    When a plan asks for "read_file" of "README.md"
    Then the call is allowed by "reviewer: allowed_tools"

  Scenario: a tool that is not listed is refused
    Given a safety profile "reviewer" that allows "read_file, search_files"
    When a plan asks to write "README.md"
    Then the call is refused by the rule "allowed_tools" of "reviewer"
    And the reason is "profile 'reviewer' does not list 'write_file' in allowed_tools"
    And the error names the tool "write_file" and the profile "reviewer"

  Scenario: the allow-list decides alone when there is a deny-list too
    Given a safety profile "editor" that allows "read_file, write_file"
    And the profile denies "write_file, delete_file"
    When a plan asks to write "README.md"
    Then the call is allowed by "editor: allowed_tools"
    And "write_file" is reported as an overlap

  Scenario: an empty allow-list admits nothing
    Given a safety profile "nothing" that allows ""
    When a plan asks for "read_file" of "README.md"
    Then the call is refused by the rule "allowed_tools" of "nothing"

  Scenario: a name is not a prefix
    Given a safety profile "reader" that allows "read"
    When a plan asks for "read_file" of "README.md"
    Then the call is refused by the rule "allowed_tools" of "reader"
    And the operator is warned that "read" is no tool's name

  Scenario: a pattern is resolved to the tools that exist when the plan starts
    Given a safety profile "searcher" that allows "search_*, web__*"
    When a plan asks for "search_files" of "docs"
    Then the call is allowed by "searcher: allowed_tools"
    And the operator is warned that "web__*" is no tool's name

  Scenario Outline: the ceiling of effects is above the allow-list
    Given a safety profile "careful" that allows "<tool>"
    And the profile's ceiling is "read"
    When a plan asks for "<tool>"
    Then the call is refused by the rule "effects" of "careful"

    Examples:
      | tool         |
      | write_file   |
      | delete_file  |
      | send_request |

  Scenario: a listed command runs under the ceiling instead
    Given a safety profile "looker" that allows "run_command"
    And the profile's ceiling is "read, execute"
    When a plan asks for "run_command"
    Then the call is allowed by "looker: allowed_tools"
    And the cell takes away "delete, network, write"

  Scenario: a listed tool stays on the profile's paths
    Given a safety profile "docs-writer" that allows "read_file, write_file"
    And the profile lets be written "docs/"
    When a plan asks to write "docs/a.md"
    Then the call is allowed by "docs-writer: allowed_tools"
    When a plan asks to write "src/a.py"
    Then the call is refused by the rule "write" of "docs-writer"
    When a plan asks to write "docs/../src/a.py"
    Then the call is refused by the rule "write" of "docs-writer"

  Scenario: a listed tool keeps the profile's condition
    Given a safety profile "short" that allows "write_file"
    And the profile lets "write_file" have a content of at most 10 characters
    When a plan asks to write "a.md"
    Then the call is allowed by "short: allowed_tools"
    When a plan asks to write "a.md" with "more than ten characters"
    Then the call is refused by the rule "where" of "short"
    And the reason does not repeat "more than ten characters"

  Scenario: a misspelt condition is an error, not a condition that admits everything
    When an operator loads a profile whose condition on "write_file" is "maxLenght"
    Then loading fails with "unknown JSON Schema keyword 'maxLenght'; did you mean 'maxLength'?"
