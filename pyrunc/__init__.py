# SPDX-License-Identifier: Apache-2.0
"""pyrunc: an OCI container runtime, as a library.

    import pyrunc

    with pyrunc.Container.create("/path/to/bundle", "web") as container:
        container.start()
        print(container.wait().code)

Importing it changes nothing of the process.
"""

from __future__ import annotations

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
from pyrunc.limits import Limits
from pyrunc.observe.validation import validate
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
    "Plan",
    "Process",
    "PyruncError",
    "PyruncWarning",
    "Spec",
    "SpecError",
    "StartError",
    "StateError",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "metrics",
    "plan",
    "validate",
]
