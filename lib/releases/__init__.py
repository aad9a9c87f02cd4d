"""Publish templates as immutable releases, remember what ran, remove what nothing needs.

The workflows of `lib.deploy` and `lib.regions` call it, and so do `inv history` and
`inv prune`. `store.bucket_of` gives the bucket that every call takes, of whom it has to be.

- `releases.build` makes a release of a folder of templates, `releases.publish` uploads it,
  `releases.find` and `releases.read_templates` bring it back, `releases.verify` proves it.
- `store.open_bucket` takes a bucket by name, `store.ensure_bucket` makes and hardens one;
  `store.object_url` and `store.quick_create_url` lead into it.
- `history.write` and `history.complete` keep the record of an operation, `settling.read` gives
  the records back, those of killed runs with what became of them; `history.find_usual_seconds`
  says from them how long an operation usually takes.
- `moving` remembers what refactors have moved, until an update has told the parents.
- `pruning.prune` removes old releases, after asking.
"""
