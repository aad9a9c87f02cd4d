"""What only AWS will know is told from what is known, and by nothing but its expression."""

from __future__ import annotations

from lib.templates.unknowns import Unknown, has_unknown


def test_unknowns_of_one_expression_are_equal_whatever_the_reason() -> None:
    assert Unknown("${A}", "x") == Unknown("${A}", "y")
    assert Unknown("${A}") != Unknown("${B}")


def test_an_unknown_is_found_however_deep_it_lies() -> None:
    assert has_unknown({"A": [{"B": Unknown("${x}")}]})
    assert not has_unknown({"A": [{"B": "${x}"}]})
