"""Talk to CloudFormation: stacks, change sets, events, drift, and what each state allows.

The workflows above (data, releases, deploy, checks, costs, regions) call it, each with the
client of a region, or with a job and its access where a person is told something. It asks
for no consent and knows no bucket.

- `admission.admit`: look at a stack and let an operation begin, or refuse it;
  `statuses.TABLE` says what each state allows, and nothing there calls AWS
- `stacks.describe`, `require`, `walk`, `read_template`: read a stack and what it holds;
  `create`, `delete`, `roll_back` and their like start what CloudFormation then does
- `deployed.read`, `resolve_deployed`: the live tree of templates, for comparisons
- `changesets.create`, `execute`, `discard`: ask for a change set, carry it out or drop it;
  `previews.wait` reads what it would do
- `watching.wait`: follow what is running for a person who may leave; `events.follow` without
  one, `events.read_operation` afterwards
- `durations.list_longest` and `draw_chart`: what took how long, from the events
- `obstacles.look`: what a rollback or deletion that failed is stuck at, by the operator's names
  and by AWS's
- `drift.detect`: where a stack no longer is what its templates say
"""
