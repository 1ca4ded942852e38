# SPDX-License-Identifier: Apache-2.0
"""Out-of-memory events of a cgroup, as they happen: an object that can be polled.

v2's event files wake pollers with priority data; v1 signals an eventfd. Either way one epoll
descriptor stands for all sources, so that the caller needs to know nothing about them. This module
must not decide what an event is worth.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pyrunc.cgroups import tree
from pyrunc.cgroups.stats import pairs
from pyrunc.kernel import calls
from pyrunc.kernel.descriptor import Descriptor, opened

_KEYS = ("oom", "oom_kill", "oom_group_kill")
# v1 signals before it kills.
_KILL_SECONDS = 0.2
_KILL_PAUSE = 0.002
_LENGTH = 4096
_ROOM = 1 << 16


@dataclass(slots=True, kw_only=True)
class OomCounts:
    """What has happened since the last look.

    Attributes:
        oom: how often the cgroup was out of memory.
        oom_kill: how many processes were killed for it.
        oom_group_kill: how often the whole cgroup was (memory.oom.group, Linux 5.17).
    """

    oom: int = 0
    oom_kill: int = 0
    oom_group_kill: int = 0

    def __bool__(self) -> bool:
        """Whether anything has: what runc prints an event for."""
        return bool(self.oom or self.oom_kill)


class OomEvents:
    """The events of one cgroup, until it is gone or nothing runs in it any more.

    Poll `fileno()` for reading and then call `read`; or iterate, which waits.

    Attributes:
        ended: there will be no more.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._files: list[Descriptor] = []
        self._seen: dict[str, int] = {}
        self.ended = False

    def fileno(self) -> int:
        """Readable when `read` may have something to report."""
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()
        while self._files:
            self._files.pop().close()

    def __enter__(self) -> OomEvents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[OomCounts]:
        while not self.ended:
            self._epoll.poll()
            counts = self.read()
            if counts:
                yield counts

    def read(self) -> OomCounts:
        """What has happened since the last call, without waiting; sets `ended`.

        Raises:
            OSError: a file cannot be read, for another reason than that the cgroup is gone.
        """
        raise NotImplementedError

    def _watch(self, directory: int, name: str) -> int:
        """Have changes of a file wake pollers. The descriptor, -1 where there is no file."""
        try:
            fd = self._keep(opened(name, tree.READ, dir_fd=directory))
        except FileNotFoundError:
            return -1
        self._epoll.register(fd, select.EPOLLPRI)
        return fd

    def _keep(self, file: Descriptor) -> int:
        """Close it with the others; its number, lent until then."""
        self._files.append(file)
        return file.fileno()

    def _since(self, text: str) -> OomCounts:
        found = pairs(text)
        new = {key: found.get(key, 0) - self._seen.get(key, 0) for key in _KEYS}
        self._seen = found
        return OomCounts(**new)

    def _ends(self, fd: int) -> bool:
        """Whether a cgroup.events says that nothing runs there, or cannot say any more."""
        return fd >= 0 and "populated 1" not in _text(fd)


class UnifiedEvents(OomEvents):
    """The events of a v2 cgroup.

    Args:
        directory: its descriptor, needed only here.
        path: its path.

    Raises:
        OSError: as open(2) gives it.
        KernelError: as inotify_add_watch(2) gives it.
    """

    def __init__(self, directory: int, path: str) -> None:
        super().__init__()
        try:
            # The kernel reports changes of cgroup.events at least 10 ms apart, and drops the last
            # one if the cgroup is removed in the meantime: a poller of the file would wait forever.
            self._removals = self._keep(calls.watch_removals(os.path.dirname(path)))
            self._epoll.register(self._removals, select.EPOLLIN)
            self._state = self._watch(directory, "cgroup.events")
            # Not there without the memory controller: then only the end is reported.
            self._memory = self._watch(directory, "memory.events")
            if self._memory >= 0:
                self._since(_text(self._memory))
        except BaseException:
            self.close()
            raise

    def read(self) -> OomCounts:
        _drain(self._removals)
        # First the end, then the counts: a kill that ended it is not lost that way.
        self.ended = self._state < 0 or self._ends(self._state)
        text = _text(self._memory) if self._memory >= 0 else ""
        return self._since(text) if text else OomCounts()


class LegacyEvents(OomEvents):
    """The events of a v1 cgroup.

    Args:
        memory: descriptor of its directory in the memory hierarchy, needed only here.
        unified: of its v2 directory on a hybrid host, which shows when nothing runs there any
            more, or -1; the end is the removal of the cgroup then.

    Raises:
        OSError: as open(2), eventfd(2) and write(2) give it.
    """

    def __init__(self, memory: int, unified: int = -1) -> None:
        super().__init__()
        try:
            self._control = self._keep(opened("memory.oom_control", tree.READ, dir_fd=memory))
            event = Descriptor(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
            self._event = self._keep(event)
            tree.write(memory, "cgroup.event_control", f"{self._event} {self._control}")
            self._epoll.register(self._event, select.EPOLLIN)
            self._state = self._watch(unified, "cgroup.events") if unified >= 0 else -1
            if self._ends(self._state):
                # No process joined it there, as may happen: it cannot report the end.
                self._epoll.unregister(self._state)
                self._state = -1
            self._since(_text(self._control))
        except BaseException:
            self.close()
            raise

    def read(self) -> OomCounts:
        self.ended = self._ends(self._state)
        try:
            signals = os.eventfd_read(self._event)
        except BlockingIOError:
            return OomCounts()
        text = self._settled()
        if not text:
            # Removal signals as well.
            self.ended = True
            return OomCounts()
        counts = self._since(text)
        counts.oom = signals
        return counts

    def _settled(self) -> str:
        """memory.oom_control when the kill that was announced has been counted."""
        end = time.monotonic() + _KILL_SECONDS
        while True:
            text = _text(self._control)
            found = pairs(text)
            killed = found.get("oom_kill", 0) > self._seen.get("oom_kill", 0)
            if not text or killed or found.get("oom_kill_disable") or time.monotonic() > end:
                return text
            time.sleep(_KILL_PAUSE)


def _text(fd: int) -> str:
    """The text of an open file, "" when its cgroup is gone."""
    try:
        return os.pread(fd, _LENGTH, 0).decode()
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        return ""


def _drain(fd: int) -> None:
    """Take the notices that have come, so that the descriptor waits for the next one."""
    try:
        while os.read(fd, _ROOM):
            pass
    except BlockingIOError:
        return
