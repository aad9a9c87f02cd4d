"""Check before a deployment what would stop it, and afterwards what it left.

The tasks give a repository or a job with its access, and so does the rollout over many
regions. Before: `validation.check` reads the files alone and `validation.add_online` asks AWS;
`first_day.survey` looks at all that an account may lack and `first_day.answer` tells it;
`preflight.prepare` begins a stack's creation. For a rollout `preflight.look` looks at a region, and
`preflight.find_disabled`, `quotas.measure_roles` and `linked_roles` at the account. Afterwards:
`verification.verify`, or `verification.follow_up` as the end of a deployment.
`validation.answer`, `verification.answer` and `verification.add` tell what was found,
`quotas.list_headroom` shows the quotas before a question is asked.
"""
