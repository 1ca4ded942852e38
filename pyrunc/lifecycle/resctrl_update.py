# SPDX-License-Identifier: Apache-2.0
"""Another cache or memory bandwidth schema for an existing container."""

from __future__ import annotations

import errno
import os

from pyrunc.errors import KernelError, PyruncError
from pyrunc.lifecycle import resctrl
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.store import Entry
from pyrunc.spec.fields import decode_object
from pyrunc.spec.model_linux import IntelRdt

# runc's words.
_ABSENT = {
    "l3CacheSchema": ("L3", "Intel RDT/CAT: l3 cache schema is not enabled"),
    "memBwSchema": ("MB", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
}


class Change:
    """New schemas for a container, in its group or in a new one.

    Args:
        entry: the container's directory, locked.
        state: what is to be saved.
        wanted: "l3CacheSchema" and "memBwSchema".

    Raises:
        PyruncError: this host does not support that.
    """

    def __init__(self, entry: Entry, state: State, wanted: dict[str, str]) -> None:
        self._entry = entry
        self._state = state
        self._before = entry.state()
        try:
            top = resctrl.find()
        except PyruncError as error:
            top, reason = "", str(error)
        for name in wanted:
            resource, words = _ABSENT[name]
            if not top or not os.path.isdir(f"{top}/info/{resource}"):
                raise PyruncError(words, hint=reason if not top else "")
        self._lines = tuple(wanted.values())
        self._fresh = state.resctrl is None
        if state.resctrl is None:
            self._group = resctrl.plan(decode_object(IntelRdt, wanted), state.id, top)
        else:
            self._group = resctrl.Group.from_dict(state.resctrl)

    def apply(self, pids: list[int]) -> None:
        """Write the schemas, put the processes in, and save.

        Args:
            pids: all processes of the container.

        Raises:
            PyruncError: the kernel refuses; nothing has changed.
        """
        if self._fresh:
            # Saved before it is made, so that `delete` finds what a killed update leaves behind.
            self._state.resctrl = self._group.to_dict()
        self._entry.save(self._state)
        old = "" if self._fresh else self._group.schema()
        try:
            if self._fresh:
                self._group.create()
                for pid in pids:
                    _join(self._group, pid)
            else:
                self._group.set_schema(self._lines)
        except BaseException as error:
            try:
                if self._fresh:
                    self._group.undo()
                elif old:
                    self._group.set_schema([line.strip() for line in old.splitlines()])
            except PyruncError as second:
                error.add_note(f"the rollback failed too: {second}")
            finally:
                self._entry.save(self._before)
            raise


def _join(group: resctrl.Group, pid: int) -> None:
    """Put all threads in; new ones start in the group of their creator."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return
    for thread in threads:
        try:
            group.join(int(thread))
        except KernelError as error:
            if error.errno != errno.ESRCH:
                raise
