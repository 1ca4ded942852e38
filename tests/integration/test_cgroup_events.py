# SPDX-License-Identifier: Apache-2.0
"""Statistics and out-of-memory events of real cgroups."""

from __future__ import annotations

import os
import select
import time

import pytest

from pyrunc.cgroups import Cgroup, Manager
from pyrunc.cgroups.stats import NO_LIMIT
from pyrunc.errors import PyruncError
from pyrunc.spec.model_resources import CPU, Memory, Pids, Resources
from tests.lib.cgroup_tools import (
    CONTROLLERS,
    NEEDS_ROOT,
    V2,
    Child,
    legacy,
    move,
    needs,
    outside,
    run_in_v2_view,
    unified,
)

pytestmark = NEEDS_ROOT
MIB = 1 << 20


@outside
def test_the_same_in_a_v2_view() -> None:
    run_in_v2_view(__file__)


def started(cgroup: Cgroup, work: object) -> Child:
    child = Child(work)  # type: ignore[arg-type]
    move(cgroup, child.pid)
    os.write(child.gate, b"x")
    return child


def spin(seconds: float) -> int:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return 0


def hog() -> int:
    return len(bytearray(64 * MIB)) and 0


def test_processor_time_is_counted(cgroup: Cgroup) -> None:
    assert started(cgroup, lambda: spin(0.2)).finish() == 0
    found = cgroup.stats().cpu
    assert 0.15e9 < found.total < 2e9
    assert found.user + found.kernel > 0
    if not V2:
        assert len(found.percpu) == len(found.percpu_user) == os.cpu_count()
        assert sum(found.percpu) == found.total


@needs("cpu")
def test_throttling_is_counted(cgroup: Cgroup) -> None:
    cgroup.set_limits(Resources(cpu=CPU(quota=10_000)))
    assert started(cgroup, lambda: spin(0.1)).finish() == 0
    found = cgroup.stats().cpu
    assert found.periods >= found.throttled_periods > 0
    assert found.throttled > 0


@needs("memory")
def test_memory_is_counted(cgroup: Cgroup) -> None:
    def hold() -> int:
        kept = bytearray(16 * MIB)
        time.sleep(30)
        return len(kept)

    empty = cgroup.stats().memory
    assert empty.usage.limit >= 9223372036854771712
    cgroup.set_limits(Resources(memory=Memory(limit=64 * MIB)))
    child = started(cgroup, hold)
    deadline = time.monotonic() + 20
    # The kernel sums memory.stat up every 2 s only.
    found = empty
    while found.raw["anon" if V2 else "rss"] < 16 * MIB and time.monotonic() < deadline:
        time.sleep(0.01)
        found = cgroup.stats().memory
    assert 16 * MIB <= found.usage.usage <= found.usage.max <= found.usage.limit == 64 * MIB
    assert found.with_swap.usage >= found.usage.usage
    assert found.raw["anon" if V2 else "rss"] >= 16 * MIB
    assert found.events["oom_kill"] == 0
    cgroup.kill()
    assert child.finish() == -9


def test_tasks_are_counted(cgroup: Cgroup) -> None:
    if "pids" in CONTROLLERS:
        cgroup.set_limits(Resources(pids=Pids(limit=50)))
    children = [Child() for _ in range(3)]
    for child in children:
        move(cgroup, child.pid)
    found = cgroup.stats().pids
    assert (found.current, found.limit) == (3, 50 if "pids" in CONTROLLERS else 0)
    for child in children:
        assert child.finish() == 0
    assert cgroup.stats().pids.current == 0


@legacy
@needs("cpuset")
def test_cpusets_are_reported(cgroup: Cgroup) -> None:
    found = cgroup.stats().cpuset
    assert found.cpus
    assert found.mems == [0]
    assert found.switches["sched_load_balance"] == 1


@unified
def test_pressure_is_reported(cgroup: Cgroup) -> None:
    if not os.path.exists("/proc/pressure/cpu"):
        pytest.skip("this kernel counts no pressure")
    found = cgroup.stats()
    assert found.cpu.pressure is not None
    assert found.cpu.pressure.some.total >= 0


@unified
@needs("hugetlb")
def test_huge_pages_are_reported(cgroup: Cgroup) -> None:
    found = cgroup.stats().hugetlb
    assert found["2MB"].limit == NO_LIMIT
    assert found["2MB"].usage == 0


def readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@needs("memory")
def test_oom_events(cgroup: Cgroup) -> None:
    cgroup.set_limits(Resources(memory=Memory(limit=8 * MIB, swap=8 * MIB)))
    keeper = Child()
    move(cgroup, keeper.pid)
    with cgroup.oom_events() as events:
        while readable(events.fileno(), 0):
            assert not events.read()
        assert not events.ended
        for _ in range(2):
            assert started(cgroup, hog).finish() == -9
            assert readable(events.fileno(), 5)
            counts = events.read()
            # v2 reports each file's change by itself; the count comes with one of them.
            while not counts and readable(events.fileno(), 5):
                counts = events.read()
            assert counts.oom_kill == 1
            assert counts.oom >= 1
        assert keeper.finish() == 0
        while not events.ended:
            assert readable(events.fileno(), 5)
            events.read()
    assert cgroup.oom_kills() == 2


@needs("memory")
def test_oom_events_one_after_the_other(cgroup: Cgroup) -> None:
    cgroup.set_limits(Resources(memory=Memory(limit=8 * MIB, swap=8 * MIB)))
    child = Child(hog)
    move(cgroup, child.pid)
    with cgroup.oom_events() as events:
        os.write(child.gate, b"x")
        found = list(events)
    assert child.finish() == -9
    assert sum(counts.oom_kill for counts in found) == 1


@unified
def test_the_events_of_an_empty_cgroup_end_at_once(cgroup: Cgroup) -> None:
    with cgroup.oom_events() as events:
        assert list(events) == []
        assert events.ended


@unified
def test_the_end_is_reported_without_a_memory_controller(cgroup: Cgroup) -> None:
    child = Child()
    move(cgroup, child.pid)
    with cgroup.oom_events() as events:
        while readable(events.fileno(), 0):
            assert not events.read()
        assert not events.ended
        assert child.finish() == 0
        assert readable(events.fileno(), 5)
        assert not events.read()
        assert events.ended


@pytest.mark.parametrize("turn", range(20))
@pytest.mark.skipif(not V2 and "memory" not in CONTROLLERS, reason="v1 without memory")
def test_removal_ends_the_events(manager: Manager, cgroup: Cgroup, turn: int) -> None:
    """Also within 10 ms of another event, after which the kernel reports only a removal."""
    child = Child()
    with cgroup.oom_events() as events:
        move(cgroup, child.pid)
        if turn % 2:
            cgroup.freeze()
        while readable(events.fileno(), 0):
            events.read()
        manager.destroy()
        assert child.finish() == -9
        assert readable(events.fileno(), 5)
        events.read()
        assert events.ended
    with pytest.raises(PyruncError, match="no such file"):
        cgroup.oom_events()


def test_events_leave_no_descriptor_open(cgroup: Cgroup) -> None:
    cgroup.stats()
    before = os.listdir("/proc/self/fd")
    cgroup.oom_events().close()
    assert os.listdir("/proc/self/fd") == before


def test_statistics_of_a_cgroup_that_is_gone(manager: Manager, cgroup: Cgroup) -> None:
    manager.destroy()
    found = cgroup.stats()
    assert (found.cpu.total, found.pids.current, found.memory.usage.usage) == (0, 0, 0)
