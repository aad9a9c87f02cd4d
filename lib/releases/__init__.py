"""Publish templates as immutable releases, remember what ran, remove what nothing needs."""
