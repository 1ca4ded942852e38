# SPDX-License-Identifier: Apache-2.0
"""`update`: other limits for a container that is there, all of them or none."""

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
    """Set limits and save them, for later updates to start from.

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
        PyruncError: the kernel or systemd refuses. The old limits are in force again.
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
        # A value is named by its place in this document, not in config.json.
        warnings = load.with_document(document, cgroup.check_limits, resources, "")
        if not rdt:
            return warnings + change_limits(cgroup, resources, lambda: entry.save(saved))
        group = Change(entry, saved, rdt)
        return warnings + change_limits(cgroup, resources, lambda: group.apply(cgroup.pids()))
    except PyruncError:
        # It ended meanwhile, and took its cgroup along: that is the reason then.
        if not is_alive(state):
            raise ContainerNotRunning from None
        raise
