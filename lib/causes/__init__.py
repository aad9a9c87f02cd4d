"""Find out what AWS's event of a failure does not say: logs, stopped tasks, who was denied what.

`lib.deploy` asks it at the end of each failure, `lib.rescue` for `inv rescue.explain`. It only
reads, makes few calls, and never fails: what it could not look at it says in one line.

- `gathering.look`: evidence for the failure among an operation's events
- `evidence.Evidence`: one thing that was found, and where
- `wordings.TABLE`: what AWS's known wordings mean, and what helps
"""
