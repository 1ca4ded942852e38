# SPDX-License-Identifier: Apache-2.0
"""A container's statistics and out-of-memory kills, as they happen. Changes nothing."""

from __future__ import annotations

import os
import select
from _thread import allocate_lock, start_new_thread  # not threading: docs/static.md
from dataclasses import dataclass
from time import monotonic

from pyrunc.cgroups.cgroup import Cgroup
from pyrunc.cgroups.oom import OomCounts
from pyrunc.cgroups.stats import Stats
from pyrunc.kernel.descriptor import Descriptor

STATS, OOM = "stats", "oom"


@dataclass(slots=True)
class Event:
    """One thing that happened.

    Attributes:
        type: "stats" or "oom".
        stats: what the container has used, of "stats".
        oom: how often memory ran out since the last look, of "oom".
    """

    type: str
    stats: Stats | None = None
    oom: OomCounts | None = None


class Events:
    """The events of a container until its last process has ended.

    Iterate, which waits; or poll `fileno()` for reading and then call `read`. Its descriptors
    are closed at the end, by `close`, and by leaving it as a context manager.

    Args:
        cgroup: the container's.
        interval: seconds from one look at the statistics to the next.

    Attributes:
        ended: there will be no more.
    """

    def __init__(self, cgroup: Cgroup, interval: float) -> None:
        self._ticks: _Ticks | None = None  # first: __del__ runs even if the rest fails
        self._all: select.epoll | None = None
        self._cgroup = cgroup
        self._interval = interval
        self._oom = cgroup.oom_events()
        # v2 counts also what ended well; v1 signals only what its eventfd is for.
        self._counts_all = cgroup.layout.kind == "v2"
        self._next = monotonic() + interval
        self._found: list[Event] = []
        self.ended = False

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> Event:
        while not self._found:
            if self.ended:
                raise StopIteration
            poll = select.poll()
            poll.register(self._oom.fileno(), select.POLLIN)
            poll.poll(max(0.0, self._next - monotonic()) * 1000)
            self._found = self.read()
        return self._found.pop(0)

    def read(self) -> list[Event]:
        """What has happened since the last look, without waiting; sets `ended`.

        Raises:
            CgroupError: the kernel refuses to say.
        """
        if self.ended:
            return []
        found = []
        counts = self._oom.read()
        if counts.oom_kill or (counts.oom and not self._counts_all):
            found.append(Event(OOM, oom=counts))
        self.ended = self._oom.ended
        if not self.ended and monotonic() >= self._next:
            self._next = monotonic() + self._interval
            if self._ticks:
                self._ticks.take()
            # Where only v1 hierarchies are mounted nothing reports the end.
            self.ended = not self._cgroup.populated()
            if not self.ended:
                found.append(Event(STATS, stats=self._cgroup.stats()))
        if self.ended:
            self.close()
        return found

    def fileno(self) -> int:
        """Readable when `read` may have something to report."""
        if self._all is None:
            self._ticks = _Ticks(self._interval)
            self._all = select.epoll()
            self._all.register(self._oom.fileno(), select.EPOLLIN)
            self._all.register(self._ticks, select.EPOLLIN)
        return self._all.fileno()

    def close(self) -> None:
        """End it, and close what it holds."""
        self.ended = True
        if self._ticks is not None:
            self._ticks.close()
            self._ticks = None
        if self._all is not None:
            self._all.close()
        self._oom.close()
        self._cgroup.close()

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            if self._ticks is not None:
                self._ticks.close()
        except (OSError, AttributeError):
            pass  # there is no caller to report to


class _Ticks:
    """A descriptor that becomes readable at an interval, by a thread that waits for that.

    timerfd_create(2) would do it without; Python has it since 3.13.
    """

    def __init__(self, seconds: float) -> None:
        self._due = Descriptor(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._stop = Descriptor(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._done = allocate_lock()
        self._done.acquire()
        lent = self._due.fileno(), self._stop.fileno()
        start_new_thread(_tick, (*lent, seconds, self._done))

    def fileno(self) -> int:
        return self._due.fileno()

    def take(self) -> None:
        """Take note that its time has come."""
        try:
            os.eventfd_read(self._due.fileno())
        except BlockingIOError:
            return  # its time has come, and the thread is a little late

    def close(self) -> None:
        os.eventfd_write(self._stop.fileno(), 1)
        self._done.acquire()
        self._due.close()
        self._stop.close()


def _tick(due: int, stop: int, seconds: float, done: object) -> None:
    poll = select.poll()
    poll.register(stop, select.POLLIN)
    while not poll.poll(seconds * 1000):
        os.eventfd_write(due, 1)
    done.release()  # type: ignore[attr-defined]  # a lock has no class to name before 3.13
