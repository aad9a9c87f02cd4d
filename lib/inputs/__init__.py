"""Read the files that people edit, and say what is wrong with them.

Commands and workflows ask here before AWS is asked for anything, with the repository's folder
and what an operator typed.

`jobs.prepare` reads all that a deployment consists of and `jobs.require_valid` refuses what
cannot be deployed. `environments.list_environments` and `read_regions` tell what there is to
choose from, `parameters.check` holds values against a template. Whoever has a file of another
kind to read takes `documents.read_text` and `documents.read`.
"""
