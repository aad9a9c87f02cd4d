"""Keep the data of a stack: say what a change would cost, back tables up, bring them back.

`inv backup` calls `backups.back_up`, `inv restore` calls `restores.restore`, each with a job
and the access to its region. Whoever changes a stack puts `loss` and `consent` in between:

- `loss.merge` and `loss.judge` say of each change what becomes of the data behind it;
  `loss.at_risk`, `loss.tables_at_risk` and `loss.STATEFUL` pick from what they say.
- `consent.require_consent` and `consent.back_up` let a change pass only with every loss named
  and every table at risk in a proven backup; `consent.warn_of_drift` and
  `consent.warn_without_pitr` warn beforehand.
- `tables.read_window` tells the checks how far back a table can go.

What rests on what: `catalogue` and `tables` on nothing here, `proving` and `pruning` on them,
`sources`, `settings`, `new_tables` and `switching` one after the other up to `restores`.
"""
