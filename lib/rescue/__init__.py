"""Bring a stack and its data back under control after a bad night.

The tasks of `commands.rescue`, and `inv restore --switch`, call it.

- `explanations.explain`: the cause behind the last failure, and what helps
- `refactoring.refactor`: move or rename what holds data without replacing it; `reshaping` works out
  the templates that its stacks have meanwhile
"""
