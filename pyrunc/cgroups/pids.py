# SPDX-License-Identifier: Apache-2.0
"""resources.pids to pids.max. Pure; must not touch a cgroup."""

from __future__ import annotations

from pyrunc.cgroups.write import Limit
from pyrunc.spec.model_resources import Pids


def limits(pids: Pids) -> list[Limit]:
    """The same file and values on v1 and v2.

    0 is written as 1, as runc does: no process fits either way, since init is one, and
    systemd cannot express 0.
    """
    if pids.limit is None:
        return []
    value = "max" if pids.limit < 0 else str(pids.limit or 1)
    return [Limit("pids.max", value, "/pids/limit")]
