"""Check before a deployment what would stop it, and afterwards what it left."""
