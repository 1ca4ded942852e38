# SPDX-License-Identifier: Apache-2.0
"""config-linux.md, Control groups: what is in the files of the container's cgroup, v1 or v2."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest
from clauses import holds
from harness import Box, equal, true

GROUPS = "config-linux.md, Control groups"
V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
M = 1 << 20


def directory(box: Box, controller: str) -> str:
    """Where the container's cgroup of a controller is (cgroups(7))."""
    with open(f"/proc/{box.state()['pid']}/cgroup") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            if V2 and not names:
                return f"/sys/fs/cgroup{path}"
            if controller in names.split(","):
                return f"/sys/fs/cgroup/{controller}{path}"
    pytest.skip(f"this host has no controller {controller}")


# resources/POINTER: (value, v1 controller, v1 file, v1 text, v2 file, v2 text or texts). How shares
# become a weight is left open by the specification: by a line, or since 2025 by a curve.
LIMITS: list[tuple[str, Any, str, str, str, str, str]] = [
    ("memory/limit", 64 * M, "memory", "memory.limit_in_bytes", f"{64 * M}",
     "memory.max", f"{64 * M}"),
    ("memory/reservation", 32 * M, "memory", "memory.soft_limit_in_bytes", f"{32 * M}",
     "memory.low", f"{32 * M}"),
    ("cpu/shares", 512, "cpu", "cpu.shares", "512", "cpu.weight", "59 or 20"),
    ("cpu/quota", 50000, "cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"),
    ("cpu/period", 50000, "cpu", "cpu.cfs_period_us", "50000", "cpu.max", "max 50000"),
    ("cpu/cpus", "0", "cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
    ("cpu/mems", "0", "cpuset", "cpuset.mems", "0", "cpuset.mems", "0"),
    ("cpu/idle", 1, "cpu", "cpu.idle", "1", "cpu.idle", "1"),
    ("pids/limit", 77, "pids", "pids.max", "77", "pids.max", "77"),
    ("memory/swappiness", 33, "memory", "memory.swappiness", "33", "", ""),
    ("memory/disableOOMKiller", True, "memory", "memory.oom_control", "1", "", ""),
    ("network/classID", 1048577, "net_cls", "net_cls.classid", "1048577", "", ""),
    ("blockIO/weight", 300, "blkio", "blkio.weight", "300", "io.weight", "2930"),
]  # fmt: skip


@holds("linux.resources", GROUPS, "a limit is in its file", [(row[0], row) for row in LIMITS])
def case_limit(box: Box, it: tuple[str, Any, str, str, str, str, str]) -> None:
    pointer, value, controller, v1_file, v1_text, v2_file, v2_text = it
    name, text = (v2_file, v2_text) if V2 else (v1_file, v1_text)
    if not name:
        pytest.skip("cgroup v2 has nothing like it")
    if not V2 and not os.path.exists(f"/sys/fs/cgroup/{controller}/{name}"):
        # Files that the root lacks are in every other cgroup: ask one that the runtime has made.
        box.create("pid")
        if not os.path.exists(f"{directory(box, controller)}/{name}"):
            pytest.skip(f"this kernel has no {name}")
        box.kill()
        box.wait()
        box.until("stopped")
        box.delete()
    box.put({f"linux/resources/{pointer}": value}).create("pid")
    with open(f"{directory(box, controller)}/{name}") as file:
        seen = file.read().strip()
    wanted = f"oom_kill_disable {text}" if name == "memory.oom_control" else text
    lines = (seen, *seen.splitlines())
    kept = any(one in lines or f"default {one}" in seen for one in wanted.split(" or "))
    true(kept, wanted, seen)


@holds("linux.resources.pids.unlimited", GROUPS, "-1 is no limit")
def case_no_pids_limit(box: Box) -> None:
    box.put({"linux/resources/pids": {"limit": -1}}).create("pid")
    with open(f"{directory(box, 'pids')}/pids.max") as file:
        equal("pids.max", "max", file.read().strip())


@holds("linux.resources.pids.means-it", GROUPS, "no process beyond the limit")
def case_pids_limit(box: Box) -> None:
    box.put({"linux/resources/pids": {"limit": 1}})
    seen = box.ask("call:uname")["call:uname"]
    true(seen != "ok", "fork(2) fails", seen)


@holds("linux.resources.memory.swap", GROUPS, "swap is that of memory and swap together")
def case_swap(box: Box) -> None:
    box.put({"linux/resources/memory": {"limit": 64 * M, "swap": 96 * M}}).create("pid")
    name = "memory.swap.max" if V2 else "memory.memsw.limit_in_bytes"
    path = f"{directory(box, 'memory')}/{name}"
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {name}")
    with open(path) as file:
        equal(name, str(32 * M if V2 else 96 * M), file.read().strip())


@holds("linux.resources.unified", GROUPS, "unified: a file of cgroup v2 by its name")
def case_unified(box: Box) -> None:
    if not V2:
        pytest.skip("needs cgroup v2")
    box.put({"linux/resources/unified": {"memory.high": str(32 * M)}}).create("pid")
    with open(f"{directory(box, 'memory')}/memory.high") as file:
        equal("memory.high", str(32 * M), file.read().strip())


@holds("linux.resources.unified.v1", GROUPS, "unified on cgroup v1: an error")
def case_unified_v1(box: Box) -> None:
    if V2:
        pytest.skip("needs cgroup v1")
    box.put({"linux/resources/unified": {"memory.high": str(32 * M)}}).refused()


DENY_ALL = {"allow": False, "access": "rwm"}


def rule(number: tuple[int, int], access: str, kind: str = "c") -> dict[str, Any]:
    return {"allow": True, "type": kind, "major": number[0], "minor": number[1], "access": access}


def node(number: tuple[int, int]) -> dict[str, Any]:
    return {
        "path": "/dev/x",
        "type": "c",
        "major": number[0],
        "minor": number[1],
        "fileMode": 0o666,
    }


def openable(box: Box) -> tuple[int, int]:
    """A device that is not a default one, and that opens for reading and writing unless denied."""
    # fuse, loop-control, autofs, the kernel's log, vhost-net, hpet, snapshot
    for number in ((10, 229), (10, 237), (10, 235), (1, 11), (10, 238), (10, 228), (10, 231)):
        path = box.directory / f"device-{number[0]}-{number[1]}"
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(*number))
            for way in (os.O_RDONLY, os.O_WRONLY):
                os.close(os.open(path, way | os.O_NONBLOCK))
        except OSError:
            continue
        return number
    pytest.skip("this host has no device to ask with")


@holds("linux.resources.devices.deny", GROUPS, "a device that no rule allows cannot be opened")
def case_device_denied(box: Box) -> None:
    box.put({"linux/resources/devices": [DENY_ALL],
             "linux/devices": [node((10, 229))]})  # fmt: skip
    equal("open", "EPERM", box.ask("open:r/dev/x")["open:r/dev/x"])


@holds("linux.resources.devices.allow", GROUPS, "a rule allows what its letters say",
       [("r", ["ok", "EPERM"]), ("w", ["EPERM", "ok"]), ("rw", ["ok", "ok"])])  # fmt: skip
def case_device_allowed(box: Box, it: list[str]) -> None:
    access = {("ok", "EPERM"): "r", ("EPERM", "ok"): "w"}.get((it[0], it[1]), "rw")
    number = openable(box)
    box.put({"linux/resources/devices": [DENY_ALL, rule(number, access)],
             "linux/devices": [node(number)]})  # fmt: skip
    found = box.ask("open:w/dev/x", "open:r/dev/x")
    # The device may refuse a read for reasons of its own: only EPERM is the rule's.
    seen = ["EPERM" if found[f"open:{way}/dev/x"] == "EPERM" else "ok" for way in "rw"]
    equal("open to read, to write", it, seen)


@holds("linux.resources.devices.default", GROUPS, "the default devices stay usable",
       ["null", "zero", "full", "random", "urandom"])  # fmt: skip
def case_default_devices(box: Box, it: str) -> None:
    box.put({"linux/resources/devices": [DENY_ALL]})
    equal("open", "ok", box.ask(f"open:w/dev/{it}")[f"open:w/dev/{it}"])


@holds("linux.resources.devices.order", GROUPS, "rules count in their order",
       [("deny-allow", True), ("allow-deny", False)])  # fmt: skip
def case_device_order(box: Box, it: bool) -> None:
    one = rule(number := openable(box), "rw")
    other = {**one, "allow": False}
    pair = [other, one] if it else [one, other]
    box.put({"linux/resources/devices": [DENY_ALL, *pair], "linux/devices": [node(number)]})
    equal("open to write", "ok" if it else "EPERM", box.ask("open:w/dev/x")["open:w/dev/x"])


@holds(
    "linux.cgroupsPath",
    "config-linux.md, Cgroups Path",
    "an absolute path is below the hierarchy's root",
)
def case_cgroups_path(box: Box) -> None:
    path = f"/{box.id}"
    box.put({"linux/cgroupsPath": path}).create("pid")
    equal("path", f"/sys/fs/cgroup{'' if V2 else '/pids'}{path}", directory(box, "pids"))


@holds("linux.cgroupsPath.same", "config-linux.md, Cgroups Path", "the same value, the same place")
def case_same_cgroup(box: Box) -> None:
    box.put({"linux/cgroupsPath": f"/{box.id}"})
    seen = []
    for _ in range(2):
        box.create("pid")
        seen.append(directory(box, "pids"))
        box.kill()
        box.wait()
        box.until("stopped")
        box.delete()
    equal("both", seen[0], seen[1])


@holds(
    "linux.cgroup.namespace",
    "config-linux.md, Namespaces",
    "the container's cgroup is the root of its own",
)
def case_cgroup_namespace(box: Box) -> None:
    key = "file:/proc/self/cgroup"
    text = box.namespace("cgroup").ask(key)[key]
    paths = {line.split(":", 2)[2] for line in text.splitlines() if "pids" in line or V2}
    equal("paths", {"/"}, paths)
