# SPDX-License-Identifier: Apache-2.0
"""Cgroups that pyrunc makes by itself, on the real kernel: as the host is, and in a v2 view.

The second run is this file again, in a mount namespace of its own where cgroup2 is mounted
over nothing else. Everything is made below cgroups named pyrunc-test-<pid>-...
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import Cgroup, Manager, devices, signals
from pyrunc.cgroups.directories import Directories
from pyrunc.cgroups.join import Joining
from pyrunc.errors import CgroupError, PyruncError
from pyrunc.spec.model_resources import CPU, DeviceRule, Memory, Pids, Resources
from tests.lib.cgroup_tools import (
    LAYOUT,
    NEEDS_ROOT,
    V2,
    Child,
    exists,
    legacy,
    move,
    outside,
    run_in_v2_view,
    unified,
    value,
)

pytestmark = NEEDS_ROOT


@outside
def test_the_same_in_a_v2_view() -> None:
    run_in_v2_view(__file__)


def test_life_of_a_cgroup(name: str) -> None:
    manager = cgroups.new_manager(LAYOUT, name + "/deeper/leaf", "id")
    assert not exists(manager.cgroup)
    manager.check(None, False)
    manager.create()
    assert exists(manager.cgroup) == manager.cgroup.directories
    child = Child()
    move(manager.cgroup, child.pid)
    manager.cgroup.close()
    later = cgroups.manager_of(manager.to_dict())
    cgroup = cgroups.open_cgroup(manager.to_dict())
    assert later.owned
    assert (cgroup.pids(), cgroup.populated(), cgroup.frozen()) == ([child.pid], True, False)
    assert child.finish() == 0
    assert (cgroup.pids(), cgroup.populated(), cgroup.oom_kills()) == ([], False, 0)
    later.destroy()
    assert not exists(manager.cgroup)
    # Parents stay: others may be about to use them.
    assert os.path.isdir(LAYOUT.hierarchies[0].mount + name + "/deeper")
    later.destroy()


def test_every_hierarchy_is_joined(cgroup: Cgroup, name: str) -> None:
    child = Child()
    move(cgroup, child.pid)
    with open(f"/proc/{child.pid}/cgroup") as stream:
        rows = dict(line.strip().split(":", 2)[1:] for line in stream)
    assert child.finish() == 0
    for hierarchy in LAYOUT.hierarchies:
        assert rows[",".join(hierarchy.names)] == name


def test_a_process_joins_by_itself(cgroup: Cgroup) -> None:
    joining = Joining(cgroup)
    joining.spawn_fd().close()
    fds = joining.fds()
    assert len(fds) == len(LAYOUT.hierarchies) - 1

    def join() -> int:
        for fd in fds:
            os.write(fd.fileno(), b"0")
        time.sleep(30)
        return 0

    child = Child(join)
    for fd in fds:
        fd.close()
    if V2:
        move(cgroup, child.pid)
    os.write(child.gate, b"x")
    end = time.monotonic() + 5
    while cgroup.pids() != [child.pid] and time.monotonic() < end:
        time.sleep(0.01)
    assert cgroup.pids() == [child.pid]
    cgroup.kill()
    assert child.finish() == -9


def test_kill_reaches_sub_cgroups_and_frozen_processes(cgroup: Cgroup) -> None:
    below = cgroups.new_manager(LAYOUT, cgroup.dirs.inner[0] + "/sub", "id")
    below.create()
    children = [Child(), Child()]
    move(cgroup, children[0].pid) if not V2 else move(below.cgroup, children[0].pid)
    move(below.cgroup, children[1].pid)
    assert sorted(cgroup.pids()) == sorted(c.pid for c in children)
    cgroup.freeze()
    assert cgroup.frozen()
    assert not below.cgroup.frozen(), "frozen by its parent only"
    below.cgroup.close()
    cgroup.kill()
    assert [child.finish() for child in children] == [-9, -9]
    cgroup.thaw()
    assert not cgroup.frozen()


def test_kill_without_cgroup_kill(cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Directories.write
    monkeypatch.setattr(
        Directories, "write", lambda s, i, n, v: n != "cgroup.kill" and write(s, i, n, v)
    )
    children = [Child() for _ in range(5)]
    for child in children:
        move(cgroup, child.pid)
    cgroup.kill()
    assert {child.finish() for child in children} == {-9}
    assert not cgroup.frozen()


def test_a_failing_kill_does_not_leave_it_frozen(
    cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        raise OSError(5, "injected")

    write = Directories.write
    monkeypatch.setattr(
        Directories, "write", lambda s, i, n, v: n != "cgroup.kill" and write(s, i, n, v)
    )
    monkeypatch.setattr(signals, "kill_members", fail)
    child = Child()
    move(cgroup, child.pid)
    with pytest.raises(CgroupError, match="kill"):
        cgroup.kill()
    assert not cgroup.frozen()
    assert child.finish() == 0


def test_destroy_kills_and_removes_what_is_below(name: str) -> None:
    manager = cgroups.new_manager(LAYOUT, name, "id")
    manager.create()
    below = cgroups.new_manager(LAYOUT, name + "/a/b", "id")
    below.create()
    child = Child()
    move(below.cgroup, child.pid)
    below.cgroup.close()
    manager.cgroup.freeze()
    manager.destroy()
    assert child.finish() == -9
    assert not exists(manager.cgroup)


def test_a_used_cgroup_is_refused_and_left_alone(cgroup: Cgroup) -> None:
    child = Child()
    move(cgroup, child.pid)
    other = cgroups.new_manager(LAYOUT, cgroup.dirs.inner[0], "other")
    with pytest.raises(PyruncError, match=r"cgroup is not empty: 1 process\(es\) found"):
        other.create()
    assert not other.owned
    # As `delete` would, from the journal of a create that died before or in `create`.
    start = time.monotonic()
    cgroups.manager_of(other.to_dict()).destroy()
    assert time.monotonic() - start < 3
    assert cgroup.pids() == [child.pid]
    assert child.finish() == 0


def test_a_frozen_cgroup_is_refused(cgroup: Cgroup) -> None:
    cgroup.freeze()
    with pytest.raises(PyruncError, match="unexpectedly frozen"):
        cgroups.new_manager(LAYOUT, cgroup.dirs.inner[0], "other").create()
    cgroup.thaw()
    cgroups.new_manager(LAYOUT, cgroup.dirs.inner[0], "other").create()


def test_a_failing_create_removes_what_it_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = cgroups.new_manager(LAYOUT, name + "/a/leaf", "id")
    dirs = manager.cgroup.dirs
    last = next(i for i in reversed(range(len(dirs.inner))) if not dirs.optional(i))
    refuse = Manager._refuse_used

    def fail(self: Manager, index: int) -> None:
        if index == last:
            raise PyruncError("injected")
        refuse(self, index)

    monkeypatch.setattr(Manager, "_refuse_used", fail)
    with pytest.raises(PyruncError, match="injected"):
        manager.create()
    assert not [h.mount for h in LAYOUT.hierarchies if os.path.exists(h.mount + name)]
    assert not manager.owned


def test_a_path_through_a_file_is_refused(name: str) -> None:
    manager = cgroups.new_manager(LAYOUT, "/cgroup.procs/x", "id")
    with pytest.raises(CgroupError, match=r"cgroup\.procs: open: not a directory"):
        manager.create()


def test_no_descriptor_is_left_open(name: str) -> None:
    before = os.listdir("/proc/self/fd")
    manager = cgroups.new_manager(LAYOUT, name, "id")
    manager.create()
    manager.apply(None, filter_required=False)
    manager.cgroup.pids()
    manager.cgroup.frozen()
    manager.cgroup.kill()
    manager.destroy()
    assert os.listdir("/proc/self/fd") == before


def device_probe() -> int:
    """Bits: what a process in the cgroup can open that it should, or should not."""
    result = 0
    for bit, (number, path) in enumerate(((os.makedev(1, 3), "null"), (os.makedev(1, 11), "kmsg"))):
        node = f"/dev/pyrunc-test-{os.getpid()}-{path}"
        try:
            os.mknod(node, 0o20600, number)
            os.close(os.open(node, os.O_RDWR))
            result |= 1 << bit
        except PermissionError:
            pass
        finally:
            with suppress(FileNotFoundError):
                os.unlink(node)
    return result


@pytest.mark.parametrize(("allow_all", "expected"), [(False, 1), (True, 3)])
def test_device_filter(manager: Manager, allow_all: bool, expected: int) -> None:
    cgroup = manager.cgroup
    rules = (DeviceRule(allow=True, access="rwm"),) if allow_all else ()
    assert manager.apply(Resources(devices=rules)) == []
    child = Child(device_probe)
    move(cgroup, child.pid)
    assert child.finish() == expected
    # Once more: in the place of what is there.
    again = cgroups.open_cgroup(manager.to_dict())
    again.filter_devices(devices.policy(()))
    child = Child(device_probe)
    move(again, child.pid)
    assert child.finish() == 1
    again.close()


@unified
def test_an_allow_all_policy_detaches_the_program(manager: Manager) -> None:
    manager.apply(None)
    again = cgroups.open_cgroup(manager.to_dict())
    again.filter_devices(devices.policy([DeviceRule(allow=True, access="rwm")]))
    child = Child(device_probe)
    move(again, child.pid)
    assert child.finish() == 3
    again.close()


@unified
def test_a_missing_v2_controller_is_refused_before_create(name: str) -> None:
    with open("/sys/fs/cgroup/cgroup.controllers") as stream:
        if "memory" in stream.read().split():
            pytest.skip("this host has the memory controller on v2")
    manager = cgroups.new_manager(LAYOUT, name, "id")
    asked = Resources(memory=Memory(limit=1 << 20))
    with pytest.raises(PyruncError, match="the memory controller is not available in") as caught:
        manager.check(asked, False)
    assert caught.value.pointer == "/linux/resources/memory"


@unified
def test_unified_limits_and_handed_down_controllers(name: str) -> None:
    with open("/sys/fs/cgroup/cgroup.controllers") as stream:
        if "hugetlb" not in stream.read().split():
            pytest.skip("this host has no hugetlb controller on v2")
    manager = cgroups.new_manager(LAYOUT, name + "/a/leaf", "id")
    asked = Resources(unified={"hugetlb.2MB.max": "4194304", "cgroup.max.depth": "3"})
    manager.check(asked, False)
    manager.create()
    manager.apply(asked)
    assert value(manager.cgroup, "", "hugetlb.2MB.max") == "4194304"
    assert value(manager.cgroup, "", "cgroup.max.depth") == "3"
    manager.destroy()


@legacy
def test_v1_limits(name: str) -> None:
    asked = Resources(
        memory=Memory(limit=50_000_001, swap=60_000_000, reservation=10_000_000,
                    swappiness=10),
        cpu=CPU(shares=512, quota=50_000, period=100_000, burst=10_000, cpus="0", mems="0"),
        pids=Pids(limit=50),
    )  # fmt: skip
    manager = cgroups.new_manager(LAYOUT, name, "id")
    manager.check(asked, False)
    manager.create()
    manager.apply(asked)
    assert value(manager.cgroup, "memory", "memory.limit_in_bytes") == str(
        50_000_001 // 4096 * 4096
    )
    assert value(manager.cgroup, "memory", "memory.swappiness") == "10"
    assert value(manager.cgroup, "cpu", "cpu.shares") == "512"
    assert value(manager.cgroup, "cpu", "cpu.cfs_quota_us") == "50000"
    assert value(manager.cgroup, "cpuset", "cpuset.cpus") == "0"
    assert value(manager.cgroup, "pids", "pids.max") == "50"
    manager.cgroup.close()
    # As `update`: larger than what is set, then without limits.
    later = cgroups.manager_of(manager.to_dict())
    later.cgroup.set_limits(Resources(memory=Memory(limit=100_000_000, swap=200_000_000)))
    assert value(manager.cgroup, "memory", "memory.memsw.limit_in_bytes") == str(
        200_000_000 // 4096 * 4096
    )
    later.cgroup.set_limits(Resources(memory=Memory(limit=-1), pids=Pids(limit=-1)))
    assert value(manager.cgroup, "memory", "memory.memsw.limit_in_bytes") == "9223372036854771712"
    assert value(manager.cgroup, "pids", "pids.max") == "max"
    later.destroy()


@legacy
@pytest.mark.parametrize(
    ("part", "pointer"),
    [
        ({"cpu": {"cpus": "4000"}}, "/cpu/cpus"),
        ({"cpu": {"quota": 5}}, "/cpu/quota"),
        ({"cpu": {"shares": 1}}, "/cpu/shares"),
        ({"memory": {"swap": 4096}}, "/memory/swap"),
    ],
)
def test_what_the_v1_kernel_refuses(cgroup: Cgroup, part: Any, pointer: str) -> None:
    kinds = {"cpu": CPU, "memory": Memory}
    values = {k: kinds[k](**v) for k, v in part.items()}
    with pytest.raises(PyruncError) as caught:
        cgroup.set_limits(Resources(**values))
    assert caught.value.pointer == "/linux/resources" + pointer


@legacy
def test_cpuset_is_filled_below_new_and_empty_parents(name: str) -> None:
    mount = next(h.mount for h in LAYOUT.hierarchies if "cpuset" in h.names)
    os.mkdir(mount + name)
    manager = cgroups.new_manager(LAYOUT, name + "/a/leaf", "id")
    manager.create()
    for path in (name, name + "/a", name + "/a/leaf"):
        with open(f"{mount}{path}/cpuset.cpus") as stream:
            assert stream.read().strip()
    manager.destroy()


@legacy
def test_pids_limit_holds(cgroup: Cgroup) -> None:
    def fork() -> int:
        try:
            if os.fork() == 0:
                os._exit(0)
        except BlockingIOError:
            return 7
        return 0

    cgroup.set_limits(Resources(pids=Pids(limit=0)))
    child = Child(fork)
    move(cgroup, child.pid)
    assert child.finish() == 7


@legacy
def test_oom_kills_are_counted(cgroup: Cgroup) -> None:
    def hog() -> int:
        return len(bytearray(64 << 20)) and 0

    cgroup.set_limits(Resources(memory=Memory(limit=8 << 20, swap=8 << 20)))
    child = Child(hog)
    move(cgroup, child.pid)
    assert child.finish() == -9
    assert cgroup.oom_kills() >= 1
