"""Check before a deployment what would stop it, and afterwards what it left.

The tasks give a repository or a job with its access, and so does the rollout over many
regions. Before: `validation.check` reads the files alone and `validation.add_online` asks
AWS; `preflight.look` looks at a region, `preflight.find_disabled` and `quotas.measure_roles`
at the account. Afterwards: `verification.verify`, or `verification.follow_up` as the end of a
deployment. `validation.answer`, `verification.answer` and `verification.add` tell what was
found, `quotas.list_headroom` shows the quotas before a question is asked.
"""
