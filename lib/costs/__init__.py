"""Say what the templates will cost, and what the bill says they did.

The tasks give `Terms` (where the repository is, which day it is) and a job:
`estimates.estimate_all` prices the templates from usage and price book,
`estimates.with_live_prices` and `estimates.compare` ask AWS for other prices or another
state, `report.answer` and `report.draw_chart` tell. `estimates.change` prices a change before and
after. `renewal.refresh_book` renews the price book from AWS's public offer files, or holds it
against a second source; `bill.read` asks what was spent. Between files and
report everything is pure: usage → charges → metering → pricing → differences.
"""
