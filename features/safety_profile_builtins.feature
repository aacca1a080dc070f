Feature: Four profiles come with the product
  An operator picks one by name and knows what it keeps a plan from.

  Scenario Outline: what each built-in profile says about each tool
    Given the built-in profile "<profile>"
    When a plan asks for "<tool>"
    Then the answer is "<answer>"

    Examples: unrestricted is the default and refuses no tool
      | profile      | tool           | answer  |
      | unrestricted | read_file      | allowed |
      | unrestricted | write_file     | allowed |
      | unrestricted | delete_file    | allowed |
      | unrestricted | run_command    | allowed |
      | unrestricted | send_request   | allowed |
      | unrestricted | spawn_subplan  | allowed |

    Examples: read-only has no tool that writes, deletes or executes
      | profile      | tool           | answer  |
      | read-only    | read_file      | allowed |
      | read-only    | list_directory | allowed |
      | read-only    | search_files   | allowed |
      | read-only    | fetch_url      | allowed |
      | read-only    | spawn_subplan  | allowed |
      | read-only    | write_file     | refused |
      | read-only    | edit_file      | refused |
      | read-only    | move_file      | refused |
      | read-only    | delete_file    | refused |
      | read-only    | run_command    | refused |
      | read-only    | send_request   | refused |

    Examples: no-network has no HTTP and no external tool
      | profile      | tool           | answer  |
      | no-network   | read_file      | allowed |
      | no-network   | write_file     | allowed |
      | no-network   | delete_file    | allowed |
      | no-network   | run_command    | allowed |
      | no-network   | spawn_subplan  | allowed |
      | no-network   | fetch_url      | refused |
      | no-network   | send_request   | refused |
      | no-network   | server__query  | refused |

    Examples: sandboxed has local read tools only
      | profile      | tool           | answer  |
      | sandboxed    | read_file      | allowed |
      | sandboxed    | list_directory | allowed |
      | sandboxed    | search_files   | allowed |
      | sandboxed    | write_file     | refused |
      | sandboxed    | run_command    | refused |
      | sandboxed    | fetch_url      | refused |
      | sandboxed    | server__query  | refused |

  Scenario: read-only explains its no
    Given the built-in profile "read-only"
    When a plan asks to write "README.md"
    Then the call is refused by the rule "effects" of "read-only"
    And the reason is "profile 'read-only' admits no tool that writes"
    And the error names the tool "write_file" and the profile "read-only"

  Scenario: a command under no-network runs in a cell that has none
    Given the built-in profile "no-network"
    When a plan asks for "run_command"
    Then the call is allowed by "no-network: no list"
    And the cell takes away "network"

  Scenario: a tool that declares nothing is taken to do everything
    Given the built-in profile "read-only"
    When a plan asks for "undeclared_tool"
    Then the call is refused by the rule "effects" of "read-only"

  Scenario Outline: no profile lets a plan out of its workspace
    Given the built-in profile "<profile>"
    When a plan asks for "read_file" of "<path>"
    Then the call is refused by the rule "workspace" of "<profile>"

    Examples:
      | profile      | path                 |
      | unrestricted | /etc/passwd          |
      | unrestricted | ../other/secret      |
      | read-only    | docs/../../secret    |
      | sandboxed    | /workspace/../shadow |

  Scenario: a profile that does not exist never falls back to one that does
    When an operator names the profile "readonly"
    Then loading fails with "no safety profile is named 'readonly'"
    And the known profiles are told
