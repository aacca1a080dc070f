Feature: budgets that cannot be overspent
  Every limit holds before the money is spent, at every level, through the
  installed command. The own tool "ask" costs 0.02 dollars a call, and reports
  20 input and 10 output tokens.

  Background:
    Given a directory and the priced tool "ask"

  Scenario Outline: <level> limits <limit> to <value>
    Given <level> with <limit> of <value>
    When a plan calls "ask" 2 times
    Then it exits with 4 having made <calls> calls
    And the plan is constrained and the refusal names "<named>"
    And at most <spent> dollars were spent
    And the record is whole

    Examples: the options of plan run
      | level       | limit          | value | calls | spent | named              |
      | the options | max_cost_usd   | 0.02  | 1     | 0.02  | cost limit of plan |
      | the options | max_cost_usd   | 0     | 0     | 0     | cost limit of plan |
      | the options | max_tool_calls | 1     | 1     | 0.02  | tool call limit of plan |
      | the options | max_tokens     | 29    | 1     | 0.02  | token limit of plan |
      | the options | max_requests   | 0     | 0     | 0     | request limit of plan |

    Examples: the automation profile
      | level                  | limit          | value | calls | spent | named              |
      | the automation profile | max_cost_usd   | 0.02  | 1     | 0.02  | cost limit of plan |
      | the automation profile | max_tokens     | 29    | 1     | 0.02  | token limit of plan |

    Examples: the settings, for each plan
      | level             | limit          | value | calls | spent | named              |
      | the plan settings | max_cost_usd   | 0.02  | 1     | 0.02  | cost limit of plan |

    Examples: the settings, for each day
      | level            | limit          | value | calls | spent | named             |
      | the day settings | max_cost_usd   | 0.02  | 1     | 0.02  | cost limit of day |
      | the day settings | max_seconds    | 0     | 0     | 0     | time limit of day |

    Examples: a session
      | level       | limit          | value | calls | spent | named                 |
      | the session | max_cost_usd   | 0.02  | 1     | 0.02  | cost limit of session |
      | the session | max_tool_calls | 1     | 1     | 0.02  | tool call limit of session |
      | the session | max_tokens     | 29    | 1     | 0.02  | token limit of session |
      | the session | max_requests   | 0     | 0     | 0     | request limit of session |
      | the session | max_seconds    | 0     | 0     | 0     | time limit of session |

    Examples: a subplan's own budget
      | level       | limit          | value | calls | spent | named              |
      | the subplan | max_cost_usd   | 0.02  | 1     | 0.02  | cost limit of plan |
      | the subplan | max_tool_calls | 1     | 1     | 0.02  | tool call limit of plan |

  Scenario Outline: <level> still allows what is within its limit
    Given <level> with max_cost_usd of 0.04
    When a plan calls "ask" 2 times
    Then it exits with 0 having made 2 calls
    And at most 0.04 dollars were spent
    And a person is told that "0.04 USD" of the limit are spent
    And the record is whole

    Examples:
      | level                  |
      | the options            |
      | the day settings       |
      | the session            |
      | the subplan            |

  Scenario: the lowest of several limits wins
    Given the options with max_cost_usd of 5
    And the automation profile with max_cost_usd of 0.02
    And the session with max_cost_usd of 1
    When a plan calls "ask" 2 times
    Then it exits with 4 having made 1 calls
    And the plan is constrained and the refusal names "cost limit of plan"

  Scenario: more is handed on than is left
    Given the options with max_cost_usd of 0.05
    When a plan calls "ask" 2 times and then hands on 0.02 dollars
    Then it exits with 4 having made 2 calls
    And the plan is constrained and the refusal names "cost limit of plan"
    And the plan has no subplan

  Scenario: what a subplan did not spend comes back
    Given the options with max_cost_usd of 0.08
    When a plan hands on 0.06 dollars, of which 0.02 are spent, and then calls "ask" 3 times
    Then it exits with 0 having made 4 calls
    And at most 0.08 dollars were spent
    And the record is whole

  Scenario: eight subplans share a session that pays for two of them
    Given the session with max_cost_usd of 0.05
    When a plan has 8 subplans side by side that each call "ask"
    Then it exits with 4 having made 2 calls
    And at most 0.05 dollars were spent
    And session show and plan status agree with the record
    When the session's limit becomes 1 and the plan is resumed
    Then it exits with 0 having made 8 calls
    And session show and plan status agree with the record

  Scenario: a plan at its limit goes on when somebody raises it
    Given the options with max_cost_usd of 0.02
    When a plan calls "ask" 2 times
    Then it exits with 4 having made 1 calls
    When the plan is resumed with max_cost_usd of 0.04
    Then it exits with 0 having made 2 calls
    And the record says who raised the limit from 0.02 to 0.04
    And the record is whole

  Scenario: a plan without any account gets one when it is resumed with a limit
    Given no price
    When a plan that waited for a person is resumed with max_tool_calls of 0
    Then it exits with 4 having made 0 calls
    And the plan is constrained and the refusal names "tool call limit of plan"

  Scenario Outline: a limit that is no amount: <value>
    When a session is made with <option> "<value>"
    Then it exits with 2 and says in one sentence "<said>"

    Examples:
      | option       | value       | said                                  |
      | --max-cost   | -1          | an amount cannot be negative          |
      | --max-cost   | NaN         | is no amount of dollars               |
      | --max-cost   | 0.0000001   | an amount has at most 6 decimals      |
      | --max-tokens | 1.5         | is no whole number                    |

  Scenario: a session that is not there
    When a plan is run in the session "01J8ZQ"
    Then it exits with 2 and says in one sentence "no session has the id '01J8ZQ'"
