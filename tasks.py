"""Deploy Plot Palette with Invoke: `inv --list` shows the tasks, `inv TASK --help` one of them.

Composition only: the tasks are in `commands`, by what they are for.
"""

from __future__ import annotations

import atexit
import gc
import sys

# Invoke switches bytecode off for everything it runs, which costs every start of every
# task the compilation of all of lib.
sys.dont_write_bytecode = False

# What a task loads lives until it ends: collecting garbage in it again and again, and once
# more on the way out, was four tenths of a deploy without a change (docs/benchmarks.md).
gc.set_threshold(10_000, 20, 20)
atexit.register(gc.freeze)

from invoke.collection import Collection

from commands import costs, data, deploying, emulator, looking, planning, rescue
from commands.docs import make_docs
from commands.operation import keep_exit_codes

keep_exit_codes()

ns = Collection(
    looking.validate_params,
    looking.preflight,
    deploying.upload,
    deploying.deploy,
    deploying.deploy_multi_region,
    deploying.update,
    planning.apply,
    deploying.rollback,
    data.backup,
    data.restore,
    looking.outputs,
    looking.status,
    looking.events,
    looking.history,
    looking.verify,
    deploying.prune,
    costs.estimate,
    costs.refresh_prices,
    costs.costs,
    looking.graph,
)
ns.add_task(make_docs(ns))
plans = Collection("plan", planning.show, planning.discard)
plans.add_task(planning.plan, default=True)
ns.add_collection(plans)
ns.add_collection(
    Collection("rescue", rescue.explain, rescue.adopt, rescue.refactor, rescue.replay)
)
ns.add_collection(
    Collection("local", emulator.start, emulator.stop, emulator.reset, status=emulator.local_status)
)
