# SPDX-License-Identifier: Apache-2.0
"""pyrunc: an OCI container runtime, as a library.

    import pyrunc

    with pyrunc.Container.create("/path/to/bundle", "web") as container:
        container.start()
        print(container.wait().code)

Importing it changes nothing of the process (but that a fork of it gives back the signals that `run`
catches, should it happen while that runs).
"""

from __future__ import annotations

from pyrunc.cgroups.oom import OomCounts
from pyrunc.cgroups.stats import Stats
from pyrunc.container import Container
from pyrunc.creation import plan
from pyrunc.errors import (
    BusError,
    CgroupError,
    ContainerExists,
    ContainerNotFound,
    ContainerNotRunning,
    CriuError,
    ExecError,
    ForeignContainer,
    HookError,
    Interrupted,
    KernelError,
    NotReady,
    PyruncError,
    PyruncWarning,
    SpecError,
    StartError,
    StateError,
    UnsupportedError,
    UsageError,
)
from pyrunc.exits import Exit
from pyrunc.lifecycle.signals import Signals
from pyrunc.limits import Limits
from pyrunc.observe.events import Event, Events
from pyrunc.observe.validation import validate
from pyrunc.plan.explain import PlanLine
from pyrunc.plan.plan import Plan
from pyrunc.process import (
    DEVNULL,
    PIPE,
    STDOUT,
    Completed,
    ExecFailed,
    ExecTimeout,
    Process,
)
from pyrunc.scrape import metrics
from pyrunc.spec.model import Spec
from pyrunc.spec.validate import Finding
from pyrunc.version import VERSION

__version__ = VERSION
# `plan` is the function; `from pyrunc.plan.X import Y` finds the subpackage of that name as well.
__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "BusError",
    "CgroupError",
    "Completed",
    "Container",
    "ContainerExists",
    "ContainerNotFound",
    "ContainerNotRunning",
    "CriuError",
    "Event",
    "Events",
    "ExecError",
    "ExecFailed",
    "ExecTimeout",
    "Exit",
    "Finding",
    "ForeignContainer",
    "HookError",
    "Interrupted",
    "KernelError",
    "Limits",
    "NotReady",
    "OomCounts",
    "Plan",
    "PlanLine",
    "Process",
    "PyruncError",
    "PyruncWarning",
    "Signals",
    "Spec",
    "SpecError",
    "StartError",
    "StateError",
    "Stats",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "metrics",
    "plan",
    "validate",
]
