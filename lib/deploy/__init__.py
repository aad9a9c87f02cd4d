"""Carry out an operation on one stack, from its state to its outcome."""
