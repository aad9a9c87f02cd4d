"""Say what vouches for each thing that the product relies on AWS to do.

`manual.fidelity_page` writes docs/fidelity.md from `table.BEHAVIOURS`, and whoever handles an odd
answer of AWS adds it here: a `behaviour.Behaviour` in the room of its subject, with AWS's literal
words and where they stand. What vouches for the emulator's amendments is in `emulator.sources`.
"""
