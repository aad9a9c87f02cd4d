"""Show a run to the person at the terminal, and keep its log."""
