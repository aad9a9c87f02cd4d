"""Bring a stack and its data back under control after a bad night.

The tasks of `commands.rescue`, and `inv restore --switch`, call it.
"""
