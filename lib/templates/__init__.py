"""Read templates, evaluate them, and compare what two versions of them say.

Every wing above asks here, with texts, values and a region. Pure: frozen results out, no AWS
and no clock; only `linting` runs a program and remembers what it found clean.

`templates.read_folder` and `parse` read, `templates.children` finds what a template nests.
`contracts.check_contracts` holds parents and children to each other, `contracts.capabilities`
says what to acknowledge. `resolution.resolve` makes the tree of resources, in which an
`unknowns.Unknown` stands for what only AWS knows, and `comparison.compare` the `changes.Change`
from one tree to another. `linting.lint_once` lints.
"""
