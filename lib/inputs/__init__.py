"""Read the files that people edit, and say what is wrong with them."""
