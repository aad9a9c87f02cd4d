"""Say what the templates will cost, and what the bill says they did."""
