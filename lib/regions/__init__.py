"""Bring one stack to many regions."""
