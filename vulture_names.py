"""Name what nothing here calls by name and is needed all the same, with who does.

Read by vulture in `nox -s lint`, never run.
"""

# ruff: noqa: B018, F821, SLF001 (names as vulture wants them)

# inspect reads it, and so Invoke the flags of a task.
_.__signature__
# ministack calls what is put in place of its own functions.
_._provision_keeping_seed
_._ddb_create
_._ddb_delete
_._apigw_v2_api_create
_._lambda_create
_._resolve_parameters
_._capabilities_enforced
_._evaluate_conditions
_._resolve_stack_outputs
old_props
# Python's warning about a child that nobody waited for reads it.
_.returncode
# botocore asks a provider of credentials by it.
_.load_credentials
# hypercorn's settings.
_.loglevel
_.graceful_timeout
# nox finds its options and sessions in noxfile.py.
_.needs_version
_.default_venv_backend
_.error_on_missing_interpreters
_.reuse_existing_virtualenvs
_.sessions
lint
policy
tests
integration
docs
gameday
faults
sequences
mutants
corpus
recorded
foreign
audit
coverage
bench
lock
# Python writes no bytecode where it is set.
_.dont_write_bytecode
# `KEYS` show them in a document.
_.age_seconds
currency
unit_price
unused
stated_budget
# Only tests ask: every error is explained in the troubleshooting guide.
find_unexplained
# The benchmark and the tests call the emulator by it.
LOCAL_ACCOUNT
# A plan shows them by the fields of the result.
_.budget_before
_.budget_after
# zipfile writes them into an entry.
_.create_system
_.external_attr
