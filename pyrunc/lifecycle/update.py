# SPDX-License-Identifier: Apache-2.0
"""`update`: new limits for an existing container, all of them or none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyrunc import cgroups
from pyrunc.cgroups.update import update as change_limits
from pyrunc.errors import ContainerNotRunning, PyruncError
from pyrunc.lifecycle.resctrl_update import Change
from pyrunc.lifecycle.status import STOPPED, is_alive, status_of
from pyrunc.lifecycle.store import Entry
from pyrunc.spec import load
from pyrunc.spec.merge import merge, wanted


def update(
    entry: Entry, asked: dict[str, Any], rdt: dict[str, str], document: str = "update"
) -> list[str]:
    """Set limits and save them as the base of later updates.

    Args:
        entry: the container's directory.
        asked: a resources object; absent members stay as they are, device rules are ignored.
        rdt: "l3CacheSchema" and "memBwSchema", where they are to change.
        document: names the object in messages.

    Returns:
        Warnings, one line each.

    Raises:
        ContainerNotRunning: it has stopped.
        SpecError: a value is wrong.
        PyruncError: the kernel or systemd refuses; the old limits are in force again.
    """
    change = wanted(asked)
    load.decode_resources(change, document)
    entry.lock()
    state = entry.state()
    if status_of(entry, state) == STOPPED:
        raise ContainerNotRunning
    after, change = merge(state.resources, change)
    resources = load.decode_resources(change, document)
    cgroup = cgroups.open_cgroup(state.cgroup)
    saved = replace(state, resources=after)
    try:
        # Errors point into this document, not into config.json.
        warnings = load.with_document(document, cgroup.check_limits, resources, "")
        if not rdt:
            return warnings + change_limits(cgroup, resources, lambda: entry.save(saved))
        group = Change(entry, saved, rdt)
        return warnings + change_limits(cgroup, resources, lambda: group.apply(cgroup.pids()))
    except PyruncError:
        # It may have ended in the meantime, and its cgroup with it: then that is the reason.
        if not is_alive(state):
            raise ContainerNotRunning from None
        raise
