# SPDX-License-Identifier: Apache-2.0
"""pyrunc: an OCI container runtime, as a library.

    import pyrunc

    with pyrunc.Container.create("/path/to/bundle", "web") as container:
        container.start()
        print(container.wait().code)

Nothing runs when this is imported; what is used is loaded then.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container import Container
    from pyrunc.errors import (
        BusError,
        CgroupError,
        ContainerExists,
        ContainerNotFound,
        ContainerNotRunning,
        HookError,
        KernelError,
        PyruncError,
        SpecError,
        StartError,
        StateError,
        UnsupportedError,
        UsageError,
    )
    from pyrunc.exits import Exit
    from pyrunc.limits import Limits
    from pyrunc.plan.context import Plan
    from pyrunc.process import (
        DEVNULL,
        PIPE,
        STDOUT,
        Completed,
        ExecFailed,
        ExecTimeout,
        Process,
    )
    from pyrunc.spec.model import Spec

__version__ = "0.1.0"
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
    "ExecFailed",
    "ExecTimeout",
    "Exit",
    "HookError",
    "KernelError",
    "Limits",
    "Plan",
    "Process",
    "PyruncError",
    "Spec",
    "SpecError",
    "StartError",
    "StateError",
    "UnsupportedError",
    "UsageError",
]

_HOMES = {
    **dict.fromkeys(
        ("Completed", "DEVNULL", "ExecFailed", "ExecTimeout", "PIPE", "Process", "STDOUT"),
        "pyrunc.process",
    ),
    "Container": "pyrunc.container",
    "Exit": "pyrunc.exits",
    "Limits": "pyrunc.limits",
    "Plan": "pyrunc.plan.context",
    "Spec": "pyrunc.spec.model",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'pyrunc' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES.get(name, "pyrunc.errors")), name)
