"""Write the pages of docs/ that the code and the templates already know.

`commands/docs.py` calls `pages.refresh` with the tasks as Invoke knows them. `pages` reads the
sources and builds every page; each `…_page` writes one, `error_index` and `direction` a part of
one, and `keys` says what a task's JSON document holds, from the type of its result.
"""
