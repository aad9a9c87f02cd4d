"""Carry out an operation on one stack, from its state to its outcome.

Each workflow takes a job (what is wanted, for which stack) and an access (AWS, the person,
the time), decides by the stack's state before it calls anything, and returns an `Outcome`.
The tasks of `commands` call it; `lib.regions` calls it once for each region.

- `deployments.deploy`, `delete`, `rollbacks.roll_back`, `return_to`: the tasks' workflows
- `publishing.publish`: templates become a release; a `Run` is what a deployment works with
- `change.carry_out`: propose a change set (`proposals`), judge and show it (`review`), guard
  the data, execute, and keep the history (`records`); `creation` needs no change set
- `deployments.propose` keeps a change set, `plans` make a file of it that people approve, and
  `applying.apply` executes exactly that, or says what differs
- `deletions` gets rid of a stack, half-deleted ones too, past `protection` and `running_tasks`;
  `pauses` leaves one that waits half way, `barriers` refuses what AWS would fail at
- `status.look`, `list_events`, `follow`, `read_history`: look without changing anything
- `outcomes.Outcome`: what became of it, also as JSON; `report` tells it and what would change
"""
