# SPDX-License-Identifier: Apache-2.0
"""Each controller on the real kernel: what a fragment of config.json makes of its files.

What a host has no controller for is skipped there: the bare host has most of v1, the test
guest (tests/guest) has all of v2. The v2 view of the bare host has hugetlb.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import Cgroup, Manager
from pyrunc.cgroups.layout import Hierarchy, Layout
from pyrunc.errors import PyruncError, SpecError
from pyrunc.spec.check_resources import check_resources
from pyrunc.spec.fields import decode_object
from pyrunc.spec.model_resources import Resources
from tests.lib.cgroup_tools import (
    CONTROLLERS,
    LAYOUT,
    NEEDS_ROOT,
    V2,
    Child,
    exists,
    guest,
    legacy,
    move,
    needs,
    outside,
    run_in_v2_view,
    unified,
    value,
)

pytestmark = NEEDS_ROOT
MIB = 1 << 20
BASE = "/linux/resources"
IO = "io" if V2 else "blkio"


def resources(raw: dict[str, Any]) -> Resources:
    """A fragment of config.json, as `create` has it."""
    found = decode_object(Resources, raw)
    check_resources(found, BASE)
    return found


def made(name: str, raw: dict[str, Any], layout: Layout = LAYOUT) -> Manager:
    """A cgroup with these limits, as `create` makes it."""
    manager = cgroups.new_manager(layout, name, "id")
    asked = resources(raw)
    manager.check(asked, True)
    manager.create()
    try:
        manager.apply(asked, filter_required=False)
    except BaseException:
        manager.destroy()
        raise
    return manager


def refusal(name: str, raw: dict[str, Any]) -> PyruncError:
    """The error that a fragment ends in; nothing is left then."""
    with pytest.raises(PyruncError) as caught:
        made(name, raw)
    assert "\n" not in str(caught.value)
    assert not exists(cgroups.new_manager(LAYOUT, name, "id").cgroup)
    return caught.value


def whole_disk() -> str:
    """The number of a block device that limits can be put on."""
    for name in ("vda", "sda", "loop0"):
        path = Path(f"/sys/block/{name}/dev")
        if path.exists():
            return path.read_text().strip()
    pytest.skip("no block device")


@outside
def test_the_same_in_a_v2_view() -> None:
    run_in_v2_view(__file__)


# Fragment, controller, {file: value that is read back}.
V1_VALUES: list[tuple[dict[str, Any], str, dict[str, str]]] = [
    ({"memory": {"swappiness": 0}}, "memory", {"memory.swappiness": "0"}),
    ({"memory": {"disableOOMKiller": True}}, "memory", {}),
    ({"memory": {"kernel": 5, "kernelTCP": 5, "useHierarchy": True}}, "memory",
     {"memory.use_hierarchy": "1"}),
    ({"cpu": {"realtimePeriod": 500_000}}, "cpu", {"cpu.rt_period_us": "500000"}),
    ({"cpu": {"idle": 1, "shares": 5}}, "cpu", {"cpu.idle": "1"}),
    ({"cpu": {"idle": 0, "shares": 50}}, "cpu", {"cpu.idle": "0", "cpu.shares": "50"}),
    ({"cpu": {"quota": -1, "period": 50_000}}, "cpu",
     {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "50000"}),
    ({"blockIO": {"weight": 500}}, "blkio", {"blkio.bfq.weight": "500"}),
    ({"blockIO": {"weight": 0, "weightDevice": []}}, "blkio", {"blkio.bfq.weight": "100"}),
]  # fmt: skip
V2_VALUES: list[tuple[dict[str, Any], str, dict[str, str]]] = [
    ({"memory": {"limit": 32 * MIB}}, "memory",
     {"memory.max": str(32 * MIB), "memory.swap.max": "max"}),
    ({"memory": {"limit": -1}}, "memory", {"memory.max": "max", "memory.swap.max": "max"}),
    ({"memory": {"limit": 32 * MIB, "swap": -1}}, "memory", {"memory.swap.max": "max"}),
    ({"memory": {"limit": 32 * MIB, "swap": 32 * MIB}}, "memory", {"memory.swap.max": "0"}),
    ({"memory": {"limit": 32 * MIB, "swap": 48 * MIB}}, "memory",
     {"memory.max": str(32 * MIB), "memory.swap.max": str(16 * MIB)}),
    ({"memory": {"limit": -1, "swap": 48 * MIB}}, "memory",
     {"memory.max": "max", "memory.swap.max": str(48 * MIB)}),
    ({"memory": {"limit": 32 * MIB + 1, "reservation": 16 * MIB}}, "memory",
     {"memory.max": str(32 * MIB), "memory.low": str(16 * MIB)}),
    ({"memory": {"reservation": -1, "checkBeforeUpdate": True}}, "memory", {"memory.low": "max"}),
    ({"cpu": {"shares": 1024}}, "cpu", {"cpu.weight": "100"}),
    ({"cpu": {"shares": 2}}, "cpu", {"cpu.weight": "1"}),
    ({"cpu": {"shares": 262144}}, "cpu", {"cpu.weight": "10000"}),
    ({"cpu": {"quota": 20_000}}, "cpu", {"cpu.max": "20000 100000"}),
    ({"cpu": {"quota": -1, "period": 50_000}}, "cpu", {"cpu.max": "max 50000"}),
    ({"cpu": {"quota": 20_000, "period": 50_000, "burst": 10_000}}, "cpu",
     {"cpu.max": "20000 50000", "cpu.max.burst": "10000"}),
    ({"cpu": {"idle": 1, "shares": 512}}, "cpu", {"cpu.idle": "1"}),
    ({"cpu": {"idle": 0, "shares": 512}}, "cpu", {"cpu.idle": "0", "cpu.weight": "59"}),
    ({"cpu": {"cpus": "0", "mems": "0"}}, "cpuset", {"cpuset.cpus": "0", "cpuset.mems": "0"}),
    ({"pids": {"limit": 16}}, "pids", {"pids.max": "16"}),
    ({"pids": {"limit": 0}}, "pids", {"pids.max": "1"}),
    ({"pids": {"limit": -1}}, "pids", {"pids.max": "max"}),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 5 * MIB}]}, "hugetlb",
     {"hugetlb.2MB.max": str(4 * MIB), "hugetlb.2MB.rsvd.max": str(4 * MIB)}),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 2**64 - 1},
                         {"pageSize": "1GB", "limit": 0}]}, "hugetlb",
     {"hugetlb.2MB.max": "max", "hugetlb.1GB.max": "0"}),
    ({"unified": {"memory.high": "1G", "memory.oom.group": "1"}}, "memory",
     {"memory.high": str(1 << 30), "memory.oom.group": "1"}),
    ({"unified": {"memory.max": "64M"}, "memory": {"limit": 32 * MIB}}, "memory",
     {"memory.max": str(64 * MIB)}),
    ({"unified": {"cpu.max": "5000", "cpu.weight.nice": "5"}}, "cpu", {"cpu.max": "5000 100000"}),
    ({"unified": {"cpuset.cpus": "0,0", "cpuset.cpus.partition": "member"}}, "cpuset",
     {"cpuset.cpus": "0"}),
    ({"unified": {"hugetlb.2MB.max": "3000000", "cgroup.max.depth": "3"}}, "hugetlb",
     {"hugetlb.2MB.max": str(2 * MIB), "cgroup.max.depth": "3"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "controller", "files"),
    V2_VALUES if V2 else V1_VALUES,
    ids=[str(row[0])[:60] for row in (V2_VALUES if V2 else V1_VALUES)],
)
def test_values(name: str, raw: dict[str, Any], controller: str, files: dict[str, str]) -> None:
    if controller not in CONTROLLERS:
        pytest.skip(f"the {controller} controller is not there")
    manager = made(name, raw)
    assert {file: value(manager.cgroup, controller, file) for file in files} == files
    manager.destroy()


@legacy
@needs("memory")
def test_the_oom_killer_can_be_turned_off(name: str) -> None:
    manager = made(name, {"memory": {"disableOOMKiller": True}})
    assert "oom_kill_disable 1" in value(manager.cgroup, "memory", "memory.oom_control")
    manager.destroy()


@legacy
@needs("cpu")
def test_real_time_needs_time_of_the_parent(name: str) -> None:
    if not os.path.exists(f"{LAYOUT.hierarchies[0].mount}/../cpu/cpu.rt_runtime_us"):
        pytest.skip("this kernel has no RT_GROUP_SCHED")
    manager = made(name, {"cpu": {"realtimeRuntime": 1000, "realtimePeriod": 500_000}})
    assert value(manager.cgroup, "cpu", "cpu.rt_runtime_us") == "1000"
    manager.destroy()
    error = refusal(name, {"cpu": {"realtimeRuntime": 2_000_000, "realtimePeriod": 1_000_000}})
    assert error.pointer == f"{BASE}/cpu/realtimeRuntime"


@needs(IO)
def test_throttles(name: str) -> None:
    disk = whole_disk()
    major, minor = disk.split(":")
    device = {"major": int(major), "minor": int(minor)}
    kinds = ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")
    asked = {f"throttle{k}Device": [{**device, "rate": MIB + n}] for n, k in enumerate(kinds)}
    manager = made(name, {"blockIO": asked})
    if V2:
        keys = ("rbps", "wbps", "riops", "wiops")
        wanted = " ".join(f"{key}={MIB + n}" for n, key in enumerate(keys))
        assert value(manager.cgroup, "io", "io.max") == f"{disk} {wanted}"
    else:
        files = ("read_bps", "write_bps", "read_iops", "write_iops")
        for n, file in enumerate(files):
            assert (
                value(manager.cgroup, "blkio", f"blkio.throttle.{file}_device")
                == f"{disk} {MIB + n}"
            )
    # As `update`: two are lifted again.
    none = {f"throttle{k}Device": [{**device, "rate": 0}] for k in kinds[:2]}
    manager.cgroup.set_limits(resources({"blockIO": none}), "")
    if V2:
        assert value(manager.cgroup, "io", "io.max").startswith(f"{disk} rbps=max wbps=max riops=")
    else:
        assert value(manager.cgroup, "blkio", "blkio.throttle.read_bps_device") == ""
    with pytest.raises(PyruncError) as caught:
        manager.cgroup.set_limits(resources({"blockIO": {"throttleReadBpsDevice": [
            {**device, "rate": MIB}, {"major": 4000, "minor": 1, "rate": 5}]}}), "")  # fmt: skip
    assert caught.value.pointer == "/blockIO/throttleReadBpsDevice/1"
    assert "4000:1 a whole block device" in str(caught.value)
    manager.destroy()


@unified
@needs("io")
def test_weights_on_v2(name: str) -> None:
    manager = made(name, {"blockIO": {"weight": 100}})
    files = os.listdir(manager.cgroup.directories[0])
    file, wanted = ("io.bfq.weight", "100") if "io.bfq.weight" in files else ("io.weight", "910")
    assert value(manager.cgroup, "io", file) == f"default {wanted}"
    manager.destroy()


@guest
@unified
@needs("io")
def test_weights_of_one_device_on_v2(name: str) -> None:
    for module in ("bfq", "null_blk"):
        subprocess.run(["modprobe", module], check=False)
    disk = Path("/sys/block/nullb0")
    if not disk.exists():
        pytest.skip("no null_blk")
    (disk / "queue/scheduler").write_text("bfq")
    number = (disk / "dev").read_text().strip()
    major, minor = map(int, number.split(":"))
    manager = made(name, {"blockIO": {"weightDevice": [
        {"major": major, "minor": minor, "weight": 500}]}})  # fmt: skip
    assert f"{number} 500" in value(manager.cgroup, "io", "io.bfq.weight").splitlines()
    manager.destroy()


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    # controller that has to be there, or ""; fragment; pointer; a part of the message
    ("", {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}, "/hugepageLimits/0/pageSize",
     "this host has no huge pages of 3MB"),
    ("rdma", {"rdma": {"nosuch0": {"hcaHandles": 1}}}, "/rdma/nosuch0", "/sys/class/infiniband"),
    ("cpu", {"cpu": {"quota": 5}}, "/cpu/quota", "invalid argument"),
    ("cpu", {"cpu": {"period": 5}}, "/cpu/period", "invalid argument"),
    ("cpu", {"cpu": {"quota": 2000, "burst": 2001}}, "/cpu/burst", "larger than the quota"),
    ("cpuset", {"cpu": {"cpus": "4000"}}, "/cpu/cpus", ""),
    ("cpuset", {"cpu": {"cpus": "a-b"}}, "/cpu/cpus", "invalid argument"),
    ("cpuset", {"cpu": {"mems": "63"}}, "/cpu/mems", ""),
    ("memory", {"memory": {"limit": 4096, "swap": 1}}, "/memory/swap", "should be >="),
    (IO, {"blockIO": {"throttleReadIOPSDevice": [{"major": 4000, "minor": 0, "rate": 1}]}},
     "/blockIO/throttleReadIOPSDevice/0", "4000:0"),
    (IO, {"blockIO": {"weightDevice": [{"major": 4000, "minor": 0, "weight": 10}]}},
     "/blockIO/weightDevice/0/weight", "4000:0"),
]  # fmt: skip
REFUSED_BY_V1: list[tuple[str, dict[str, Any], str, str]] = [
    ("", {"unified": {"memory.high": "1"}}, "/unified", "not supported on"),
    ("blkio", {"blockIO": {"leafWeight": 100}}, "/blockIO/leafWeight", "no such file"),
]
REFUSED_BY_V2: list[tuple[str, dict[str, Any], str, str]] = [
    ("", {"memory": {"kernel": 5}}, "/memory/kernel", "kernel is not supported on"),
    ("", {"memory": {"kernelTCP": 5}}, "/memory/kernelTCP", "kernelTCP is not supported"),
    ("", {"memory": {"swappiness": 5}}, "/memory/swappiness", "swappiness is not supported"),
    ("", {"memory": {"disableOOMKiller": True}}, "/memory/disableOOMKiller", "not supported on"),
    ("", {"memory": {"swap": 5}}, "/memory/swap", "without memory limit"),
    ("", {"cpu": {"realtimeRuntime": 5}}, "/cpu/realtimeRuntime", "are not supported on cgroup"),
    ("", {"cpu": {"realtimePeriod": 5}}, "/cpu/realtimePeriod", "are not supported on cgroup"),
    ("", {"blockIO": {"leafWeight": 10}}, "/blockIO/leafWeight", "leaf weights are not supported"),
    ("", {"network": {"classID": 1}}, "/network/classID", "not supported on cgroup v2"),
    ("", {"network": {"priorities": [{"name": "lo", "priority": 1}]}}, "/network/priorities",
     "not supported on cgroup v2"),
    ("", {"unified": {"nosuch.limit": "1"}}, "/unified/nosuch.limit",
     "the nosuch controller is not available in /sys/fs/cgroup"),
    ("pids", {"unified": {"pids.nosuch": "1"}}, "/unified/pids.nosuch", "no such file"),
    ("cpu", {"unified": {"cpu.weight": "0"}}, "/unified/cpu.weight", "numerical result"),
    ("pids", {"unified": {"pids.max": "x"}}, "/unified/pids.max", "invalid argument"),
]  # fmt: skip
EVERY_REFUSAL = REFUSED + (REFUSED_BY_V2 if V2 else REFUSED_BY_V1)


@pytest.mark.parametrize(
    ("controller", "raw", "pointer", "message"),
    EVERY_REFUSAL,
    ids=[f"{row[2][1:]}={row[1]}"[:60] for row in EVERY_REFUSAL],
)
def test_refusals(
    name: str, controller: str, raw: dict[str, Any], pointer: str, message: str
) -> None:
    if controller and controller not in CONTROLLERS:
        pytest.skip(f"the {controller} controller is not there")
    error = refusal(name, raw)
    assert error.pointer == BASE + pointer
    assert message in str(error)


MISSING = {
    "memory": {"memory": {"limit": MIB}},
    "cpu": {"cpu": {"shares": 5}},
    "cpuset": {"cpu": {"cpus": "0"}},
    "pids": {"pids": {"limit": 5}},
    IO: {"blockIO": {"weight": 100}},
    "hugetlb": {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
    "rdma": {"rdma": {"mlx5_0": {"hcaHandles": 1}}},
    "net_cls": {"network": {"classID": 1}},
    "net_prio": {"network": {"priorities": [{"name": "lo", "priority": 1}]}},
}


@pytest.mark.parametrize("controller", MISSING)
def test_a_missing_controller_is_named(name: str, controller: str) -> None:
    if controller in CONTROLLERS:
        pytest.skip("it is there")
    if V2 and controller.startswith("net"):
        pytest.skip("v2 has none")
    error = refusal(name, MISSING[controller])
    assert f"the {controller} controller is not available in /sys/fs/cgroup" in str(error)


# --- the tree of cgroup v2 -------------------------------------------------------------------


@unified
def test_every_controller_is_handed_down(name: str) -> None:
    manager = made(name + "/a/b/leaf", {})
    assert set(value(manager.cgroup, "", "cgroup.controllers").split()) == CONTROLLERS
    manager.destroy()


def directory(path: str) -> Path:
    return Path(LAYOUT.hierarchies[0].mount + path)


@unified
@needs("hugetlb")
def test_a_parent_with_processes_is_the_reason_for_a_missing_controller(name: str) -> None:
    parent = cgroups.new_manager(LAYOUT, name, "id")
    parent.create()
    child = Child()
    move(parent.cgroup, child.pid)
    with pytest.raises(PyruncError) as caught:
        made(name + "/leaf", MISSING["hugetlb"])
    assert child.finish() == 0
    assert "the hugetlb controller is not available in " in str(caught.value)
    assert "it has processes of its own" in str(caught.value)
    assert not directory(name + "/leaf").exists()


THREADED: dict[str, tuple[dict[str, Any], str, str]] = {
    "pids": ({"pids": {"limit": 7}}, "pids.max", "7"),
    "cpu": ({"cpu": {"quota": 20_000}}, "cpu.max", "20000 100000"),
    "cpuset": ({"cpu": {"cpus": "0"}}, "cpuset.cpus", "0"),
}


@unified
@needs("pids")
@pytest.mark.parametrize("controller", THREADED)
def test_next_to_processes_a_threaded_cgroup_is_limited(name: str, controller: str) -> None:
    """As at the root of a container that runs containers."""
    raw, file, wanted = THREADED[controller]
    parent = cgroups.new_manager(LAYOUT, name, "id")
    parent.create()
    neighbour, child = Child(), Child()
    move(parent.cgroup, neighbour.pid)
    # Without a limit the parent stays what it is.
    made(name + "/plain", {}).destroy()
    assert directory(name + "/cgroup.type").read_text() == "domain\n"
    manager = made(name + "/leaf", raw)
    assert value(manager.cgroup, "", file) == wanted
    assert value(manager.cgroup, "", "cgroup.type") == "threaded"
    assert directory(name + "/cgroup.subtree_control").read_text().split() == [controller]
    move(manager.cgroup, child.pid)
    assert manager.cgroup.pids() == [child.pid]
    manager.destroy()
    assert child.finish() == -9
    assert neighbour.finish() == 0


@unified
@needs("memory")
def test_next_to_processes_others_are_refused_with_a_hint(name: str) -> None:
    parent = cgroups.new_manager(LAYOUT, name, "id")
    parent.create()
    neighbour = Child()
    move(parent.cgroup, neighbour.pid)
    error = refusal(name + "/leaf", {"memory": {"limit": 32 * MIB}})
    assert error.pointer.startswith(f"{BASE}/memory")
    assert "move them to a cgroup below it" in str(error)
    # Then the others are of no use, and the parent stays what it is.
    error = refusal(name + "/leaf", {"memory": {"limit": 32 * MIB}, "pids": {"limit": 7}})
    assert "move them to a cgroup below it" in str(error)
    assert directory(name + "/cgroup.type").read_text() == "domain\n"
    assert neighbour.finish() == 0


@unified
def test_below_a_threaded_cgroup(name: str) -> None:
    directory(name + "/t").mkdir(parents=True)
    directory(name + "/t/cgroup.type").write_text("threaded")
    manager = made(name + "/t/leaf", {})
    assert value(manager.cgroup, "", "cgroup.type") == "threaded"
    manager.destroy()
    if "hugetlb" in CONTROLLERS:
        error = refusal(name + "/t/leaf", MISSING["hugetlb"])
        assert "is of type domain invalid: it cannot have limits on hugetlb" in str(error)
        assert error.pointer == "/linux/cgroupsPath"


@unified
def test_processes_in_a_threaded_cgroup_are_killed(name: str) -> None:
    directory(name + "/t").mkdir(parents=True)
    directory(name + "/t/cgroup.type").write_text("threaded")
    top = cgroups.new_manager(LAYOUT, name, "id")
    child = Child()
    move(top.cgroup, child.pid)
    manager = made(name + "/t/leaf", {})
    move(manager.cgroup, child.pid)
    assert manager.cgroup.pids() == [child.pid]
    manager.destroy()
    assert child.finish() == -9
    assert not exists(manager.cgroup)


@unified
def test_delegation(name: str) -> None:
    manager = made(name, {})
    manager.delegate(12345)
    listed = Path("/sys/kernel/cgroup/delegate").read_text().split()
    place = directory(name)
    owned = {path.name for path in place.iterdir() if path.stat().st_uid == 12345}
    assert place.stat().st_uid == 12345
    assert place.stat().st_gid == 0
    assert owned == {file for file in listed if (place / file).exists()}
    assert {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= owned
    manager.destroy()
    assert not exists(manager.cgroup)


# --- v1 hierarchies that few hosts have ------------------------------------------------------


def _mount(names: tuple[str, ...], place: Path) -> None:
    """Take controllers away from cgroup v2, which earlier tests have handed down there."""
    for base, _, _ in os.walk(directory("/"), topdown=False):
        with suppress(OSError):
            Path(base, "cgroup.subtree_control").write_text(" ".join("-" + name for name in names))
    command = ["mount", "-t", "cgroup", "-o", ",".join(names), "none", str(place)]
    deadline = time.monotonic() + 10
    while subprocess.run(command, check=False, capture_output=True).returncode:
        assert time.monotonic() < deadline, f"{command} fails"
        time.sleep(0.2)


@pytest.fixture
def mounted(name: str, tmp_path: Path) -> Iterator[Layout]:
    """v1 hierarchies of the controllers that are hard to find, two of them mounted together."""
    hierarchies = []
    try:
        for names in (("net_cls", "net_prio"), ("hugetlb",), ("rdma",)):
            mount = tmp_path / names[0]
            mount.mkdir()
            _mount(names, mount)
            hierarchies.append(Hierarchy(names, str(mount), "/"))
        yield Layout("v1", tuple(hierarchies))
    finally:
        for hierarchy in hierarchies:
            if os.path.isdir(hierarchy.mount + name):
                os.rmdir(hierarchy.mount + name)
            subprocess.run(["umount", hierarchy.mount], check=True)


@guest
def test_rare_controllers_of_v1(name: str, mounted: Layout) -> None:
    manager = made(
        name,
        {
            "network": {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 7}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 5 * MIB}],
        },
        mounted,
    )
    net, huge, _ = manager.cgroup.directories
    assert Path(net, "net_cls.classid").read_text() == f"{0x100001}\n"
    assert "lo 7" in Path(net, "net_prio.ifpriomap").read_text().splitlines()
    for file in ("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes"):
        assert Path(huge, file).read_text() == f"{4 * MIB}\n"
    child = Child()
    move(manager.cgroup, child.pid)
    assert manager.cgroup.pids() == [child.pid]
    assert child.finish() == 0
    manager.destroy()
    assert not exists(manager.cgroup)


@guest
@pytest.mark.parametrize(
    ("raw", "pointer", "message"),
    [
        ({"network": {"priorities": [{"name": "nosuch", "priority": 7}]}},
         "/network/priorities/0", "is there a network interface nosuch here?"),
        ({"rdma": {"nosuch": {"hcaObjects": 7}}}, "/rdma/nosuch", "/sys/class/infiniband"),
        ({"pids": {"limit": 7}}, "/pids", "the pids controller is not available in"),
    ],
)  # fmt: skip
def test_refusals_of_rare_controllers_of_v1(
    name: str, mounted: Layout, raw: dict[str, Any], pointer: str, message: str
) -> None:
    with pytest.raises(PyruncError) as caught:
        made(name, raw, mounted)
    assert caught.value.pointer == BASE + pointer
    assert message in str(caught.value)


# --- update ----------------------------------------------------------------------------------


def test_pointers_of_a_document_that_is_the_resources(cgroup: Cgroup) -> None:
    with pytest.raises(SpecError) as caught:
        cgroup.check_limits(resources({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}), "")
    assert caught.value.pointer == "/hugepageLimits/0/pageSize"


@unified
@needs("memory")
def test_check_before_update(cgroup: Cgroup) -> None:
    hog = Child(lambda: len(bytearray(8 * MIB)) and 0)
    move(cgroup, hog.pid)
    os.write(hog.gate, b"x")
    while int(value(cgroup, "", "memory.peak")) < 4 * MIB:
        pass
    assert hog.finish() == 0
    keep = Child()
    move(cgroup, keep.pid)
    if int(value(cgroup, "", "memory.current")) > 0:
        with pytest.raises(SpecError, match="is not above the usage") as caught:
            cgroup.set_limits(resources({"memory": {"limit": 1, "checkBeforeUpdate": True}}))
        assert caught.value.pointer == "/linux/resources/memory/limit"
    assert value(cgroup, "", "memory.max") == "max"
    assert keep.finish() == 0
