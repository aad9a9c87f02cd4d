"""Bring one stack to many regions, and see it in all of them.

The tasks read the flags with `plan`, choose with `rollout.choose_engine` what carries the
rollout out (this machine, or CloudFormation StackSets in `handover`), give it a `plan.Site`
per region with `rollout.deploy`, and tell what became of it with `report.answer`.
`inv apply` calls `approved.apply` for a plan of many regions, `inv status --regions` calls
`survey.survey` and `survey.answer`.

Both engines sit at a `desk`, where threads (`crews`) that do each region's `work` meet one
person, and share `preparation`. `turns` says when a region may go, and what Ctrl-C means.
"""
