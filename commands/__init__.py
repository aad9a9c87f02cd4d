"""What an operator types, by what it is for: one file of tasks for each purpose.

`operation` makes an Invoke task of a function; `target`, `flags` and `answers` are what the
tasks share. A task resolves its arguments, calls lib and returns what there is to say.
"""
