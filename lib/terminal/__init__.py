"""Show a run to the person at the terminal, and keep its log.

Only `commands.operation` calls it: `console.open_console` gives the task what it shows and
asks by, `journal.open_journal` the log file, `finish.finish` turns what the task comes to into
text, one JSON document and an exit code. Colours and redrawing are rich's; `board.Board` says how
far an operation is. What lib has to say reaches the console through
`lib.operators.Operator`.
"""
