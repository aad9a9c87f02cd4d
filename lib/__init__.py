"""Hold the deployment's rooms; import them by name: `from lib import stacks`."""
