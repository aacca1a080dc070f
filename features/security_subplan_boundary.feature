Feature: A subplan can never do more than it was handed
  A parent hands a part of its work to a child. Whatever the child is, it uses
  what it was handed and nothing else, and what it made comes back by one way.

  Background:
    Given a directory with "docs/a.md" and the private file "src/private.py"

  Scenario: A subplan is handed less than its parent has
    When a parent hands "read_file" on "docs/" to a subplan
    Then the subplan's grant holds "read_file" and reads "docs/"
    And the subplan's grant is not equal to its parent's
    And the subplan's depth is 1 and it may hand on nothing further

  Scenario: A subplan asks for what it was not handed
    When a parent hands "read_file" on "docs/" to a subplan
    And the child asks for "read_file" of "src/private.py"
    Then the call is refused as a security boundary violation of "file:src/private.py"
    And the violation names the subplan, the resource and the time
    And the violation stands in the record and in the status of subplan and parent
    And the parent ends constrained with exit code 3

  Scenario: A hostile program asks its channel and tries by itself
    When a hostile program runs as a subplan with "read_file" on "docs/"
    Then it is refused "file:../x", its parent's context, "tool:run_command" and "file:src/private.py"
    And nothing that it printed or wrote holds the private text
    And the parent's directory is as it was

  Scenario Outline: A parent cannot hand on what it may not
    When a subplan with "spawn_subplan" on "docs/" hands <right> on
    Then the spawn is refused with "<excess>"
    And no further subplan was made

    Examples:
      | right              | excess          |
      | the tool run_command | run_command   |
      | the path src/      | src/            |
      | the host example.com | example.com   |
      | the depth 3        | depth of 3      |

  Scenario: Results come back by the merge and by nothing else
    When a subplan writes "docs/b.md"
    Then the parent's tree holds "docs/b.md"
    And the parent's record says from which tree into which it was merged, once

  Scenario: A result that holds what it may not is refused whole
    When a subplan leaves a nested git repository beside "docs/b.md"
    Then the merge is refused and names the repository
    And the parent's tree does not hold "docs/b.md"
    And the violation stands in the record and in the status of subplan and parent

  Scenario: Two subplans change the same line
    When two subplans change the same line of "docs/a.md"
    Then the parent is conflicted and cannot be applied
    When the conflict in "docs/a.md" is settled with "theirs" and the plan resumed
    Then the plan is applied with the second subplan's line

  Scenario: A secret never comes near a subplan
    Given the operator declares the credential "TOKEN"
    When a program with the credential "TOKEN" looks everywhere
    Then the value of "TOKEN" is in no file of the home, the cells or the directory
