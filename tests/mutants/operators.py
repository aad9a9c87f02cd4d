"""Say which mutants count, in terms of mutmut's own table of operators.

Left out, because no test should hold them fast:

- what people read: a string with a space in it, and such a text, or one put together from
  several, as an argument. The words of a message are its author's; that there is one is not, so
  leaving out the whole call counts.
- a second mutant of the same kind in the same place: mutmut spells each string in capitals and
  in small letters too, and both empties and drops each argument.

Added, because a guard that is left out is what loses data, and mutmut only turns comparisons
around: a condition that is turned around, each side of an `and` or `or` on its own, a filter
that lets everything pass, and a call or `raise` that is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import libcst as cst
from mutmut.mutation import mutators

#: mutmut's own that are replaced by a stricter or a shorter one below.
REPLACED = {
    mutators.operator_string,
    mutators.operator_arg_removal,
}
#: What and → or would show, either side alone shows better.
BOOLEAN = {cst.And, cst.Or}


def is_text(node: cst.BaseExpression) -> bool:
    """Tell whether an expression is written for people to read."""
    if isinstance(node, cst.SimpleString):
        return " " in node.value
    return isinstance(node, cst.ConcatenatedString | cst.FormattedString)


def change_string(node: cst.SimpleString) -> Iterable[cst.BaseExpression]:
    """Change a key, a name or a status; the first of mutmut's own three ways."""
    if not is_text(node):
        yield from list(mutators.operator_string(node))[:1]


def drop_argument(node: cst.Call) -> Iterable[cst.Call]:
    """Leave a named argument out, or give None for one in its place."""
    for at, argument in enumerate(node.args):
        before, after = node.args[:at], node.args[at + 1 :]
        if argument.star or is_text(argument.value) or _is_none(argument.value):
            continue
        if argument.keyword:
            yield node.with_changes(args=[*before, *after])
        else:
            empty = argument.with_changes(value=cst.Name("None"))
            yield node.with_changes(args=[*before, empty, *after])


def turn_condition(node: cst.If | cst.While) -> Iterable[cst.CSTNode]:
    """Turn a condition around that is not a comparison, which mutmut turns around itself."""
    if isinstance(node.test, cst.Name | cst.Attribute | cst.Call | cst.Subscript | cst.NamedExpr):
        yield node.with_changes(test=_negate(node.test))


def keep_one_side(node: cst.BooleanOperation) -> Iterable[cst.BaseExpression]:
    """Leave one side of an `and` or `or` out, and then the other."""
    for side in (node.left, node.right):
        yield side.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def let_all_pass(node: cst.CompIf) -> Iterable[cst.CompIf]:
    """Let everything through a comprehension's filter."""
    yield node.with_changes(test=cst.Name("True"))


def leave_out(node: cst.Expr | cst.Raise) -> Iterable[cst.BaseSmallStatement]:
    """Leave out a call made for what it does, or a refusal."""
    if isinstance(node, cst.Raise) or isinstance(node.value, cst.Call):
        yield cst.Pass()


def _negate(test: cst.BaseExpression) -> cst.UnaryOperation:
    inner = test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.UnaryOperation(operator=cst.Not(), expression=inner)


def _is_none(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def install() -> None:
    """Put what counts in the place of mutmut's own table."""
    for operator in BOOLEAN:
        mutators._operator_mapping.pop(operator, None)
    mutators.mutation_operators[:] = [
        *((kind, one) for kind, one in mutators.mutation_operators if one not in REPLACED),
        (cst.SimpleString, change_string),
        (cst.Call, drop_argument),
        ((cst.If, cst.While), turn_condition),
        (cst.BooleanOperation, keep_one_side),
        (cst.CompIf, let_all_pass),
        ((cst.Expr, cst.Raise), leave_out),
    ]
