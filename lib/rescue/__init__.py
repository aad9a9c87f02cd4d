"""Bring a stack and its data back under control after a bad night.

The tasks of `commands.rescue`, and `inv restore --switch`, call it.

- `switching.switch` and `adoption.adopt`: put another table or bucket in the place of one, and end
  with it managed; both go by `passage`, whose steps are in `imports`
- `founding.over_leftovers`: create a stack over what an earlier one of its name retained
- `explanations.explain`: the cause behind the last failure, and what helps
- `refactoring.refactor`: move or rename what holds data without replacing it; `reshaping` works out
  the templates that its stacks have meanwhile
"""
