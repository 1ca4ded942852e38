# SPDX-License-Identifier: Apache-2.0
"""Limits that hold, ends that are clean: containers and cgroups under load.

Once as the host is, once more in the cgroup v2 view of it, and in the test guest, where v2 has
all controllers.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

import pyrunc
from pyrunc import cgroups
from pyrunc.lifecycle import store
from tests.lib import support
from tests.lib.cgroup_tools import (
    CONTROLLERS,
    LAYOUT,
    NEEDS_ROOT,
    V2,
    Child,
    exists,
    move,
    needs,
    outside,
    run_in_v2_view,
    unified,
)

pytestmark = NEEDS_ROOT
MIB = 1 << 20
MEMORY_HOG = "awk 'BEGIN { s = \"x\"; while (1) s = s s }'"
FORK_BOMB = "f() { f | f & }; f; sleep 100"
BUSY = "while :; do :; done"


@outside
def test_the_same_in_a_v2_view():
    run_in_v2_view(__file__)


@pytest.fixture
def container(bundle, runtime):
    """Makes a container of the library's, whose program and resources the test names."""
    made = []
    null = os.open(os.devnull, os.O_RDWR)

    def make(script, resources):
        bundle.config["linux"]["resources"] |= resources
        bundle.shell(script)
        name = runtime.new_id()
        found = pyrunc.Container.create(
            str(bundle.path), name, root=str(runtime.root), stdio=(null, null, null)
        )
        made.append(found)
        return found

    yield make
    for found in made:
        found.delete(force=True)
    os.close(null)


def cgroup_of(container):
    with store.open_entry(container.root, container.id) as entry:
        return cgroups.open_cgroup(entry.state().cgroup)


@needs("memory")
def test_a_process_over_its_memory_limit_is_killed_and_the_exit_says_so(container):
    box = container(MEMORY_HOG, {"memory": {"limit": 32 * MIB, "swap": 32 * MIB}})
    box.start()
    end = box.wait(timeout=30 * support.SLOW)
    assert (end.code, end.signal, end.oom_killed) == (137, 9, True)
    cgroup = cgroup_of(box)
    assert cgroup.oom_kills() >= 1
    assert cgroup.stats().memory.usage.max <= 32 * MIB or V2
    box.delete()
    assert not exists(cgroup)


@needs("memory")
def test_a_child_that_is_killed_is_reported_too(container):
    limits = {"memory": {"limit": 32 * MIB, "swap": 32 * MIB}}
    box = container(f"{MEMORY_HOG}; exit 0", limits)
    box.start()
    end = box.wait(timeout=30 * support.SLOW)
    assert (end.code, end.oom_killed) == (0, True)


def test_an_ordinary_end_is_not_out_of_memory(container):
    box = container("exit 3", {})
    box.start()
    end = box.wait(timeout=30 * support.SLOW)
    assert (end.code, end.signal, end.oom_killed) == (3, 0, False)


@needs("pids")
def test_a_fork_bomb_stays_below_its_limit(container):
    box = container(FORK_BOMB, {"pids": {"limit": 16}})
    box.start()
    cgroup = cgroup_of(box)
    most = 0
    deadline = time.monotonic() + 2 * support.SLOW
    while time.monotonic() < deadline:
        counted = cgroup.stats().pids.current
        assert counted <= 16
        most = max(most, counted)
    assert most >= 10
    box.delete(force=True)
    assert not exists(cgroup)


@needs("cpu")
def test_a_quota_holds(container):
    box = container(BUSY, {"cpu": {"quota": 20_000, "period": 100_000}})
    box.start()
    cgroup = cgroup_of(box)
    time.sleep(0.3)
    began, before = time.monotonic(), cgroup.stats().cpu
    support.in_time(lambda: cgroup.stats().cpu.throttled_periods > before.throttled_periods + 20)
    after, passed = cgroup.stats().cpu, time.monotonic() - began
    used = (after.total - before.total) / 1e6  # ms
    assert used / passed <= 250
    # A period that ended throttled had the whole of its quota, however busy the machine is.
    assert used / (after.throttled_periods - before.throttled_periods) >= 15


def test_500_processes_in_sub_cgroups_are_killed_and_removed_in_2_seconds(name):
    manager = cgroups.new_manager(LAYOUT, name, "id")
    manager.create()
    below = [cgroups.new_manager(LAYOUT, f"{name}/{n % 4}/{n}", "id") for n in range(10)]
    shell = str(support.shutil.which("busybox"))
    script = "i=0; while [ $i -lt 49 ]; do sleep 1000 & i=$((i+1)); done; wait"
    children = []
    for one in below:
        one.create()
        child = Child(lambda: os.execv(shell, ["sh", "-c", script]))
        children.append(child)
        move(one.cgroup, child.pid)
        os.write(child.gate, b"x")
    deadline = time.monotonic() + 30 * support.SLOW
    while len(manager.cgroup.pids()) < 500:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for one in below:
        one.cgroup.close()
    began = time.monotonic()
    manager.destroy()
    assert time.monotonic() - began < 2 * support.SLOW
    assert not exists(manager.cgroup)
    assert {child.finish() for child in children} == {-9}


def test_a_frozen_container_is_deleted_by_force(container, runtime):
    box = container("sleep 1000", {})
    box.start()
    cgroup = cgroup_of(box)
    cgroup.freeze()
    assert box.status == "paused"
    refused = runtime("delete", box.id, check=False)
    assert refused.returncode == 1
    assert "that is not stopped: paused" in refused.stderr
    runtime("delete", "--force", box.id)
    assert box.wait().signal == 9
    assert not exists(cgroup)


def gone(program):
    """Whether the kernel has forgotten a BPF program."""
    from pyrunc.kernel._core import lib

    fd = lib.pyrunc_bpf_open(program)
    if fd >= 0:
        os.close(fd)
        return False
    return fd == -errno.ENOENT


def test_200_containers_leave_no_cgroup_and_no_bpf_program(container):
    programs = []
    names = []
    for _ in range(200 if support.SLOW == 1 else 40):
        box = container("exit 0", {})
        cgroup = cgroup_of(box)
        if V2:
            from pyrunc.kernel import calls

            directory = os.open(cgroup.directories[0], os.O_RDONLY)
            programs += calls.bpf_attached(directory)
            os.close(directory)
        box.start()
        assert box.wait().code == 0
        box.delete()
        assert not exists(cgroup)
        names.append(box.id)
    assert not [path for name in names[:1] for path in support.cgroups_named(name)]
    assert len(programs) == (len(names) if V2 else 0)
    deadline = time.monotonic() + 20
    left = programs
    while left := [program for program in left if not gone(program)]:
        assert time.monotonic() < deadline, f"BPF programs left: {left}"
        time.sleep(0.1)


# --- cgroups of the container's own ----------------------------------------------------------

MANAGE = """
set -e
mkdir /sys/fs/cgroup/sub
echo 0 >/sys/fs/cgroup/sub/cgroup.procs
grep -q '^0::/sub$' /proc/self/cgroup
"""


def delegated(bundle, options, user_namespace=True):
    config = bundle.config
    config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}
    )
    kinds = ["cgroup", *(["user"] if user_namespace else [])]
    spaces = [s for s in config["linux"]["namespaces"] if s["type"] not in ("cgroup", "user")]
    config["linux"]["namespaces"] = spaces + [{"type": kind} for kind in kinds]
    if user_namespace:
        maps = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
        config["linux"] |= {"uidMappings": maps, "gidMappings": maps}


@unified
@pytest.mark.parametrize(("options", "code", "owner"), [(["rw"], 0, 100_000), (["ro"], 1, 0)])
def test_the_root_of_a_user_namespace_manages_its_cgroup(bundle, container, options, code, owner):
    for name in ("proc", "sys", "dev"):
        (bundle.rootfs / name).mkdir()
    delegated(bundle, options)
    box = container(MANAGE, {})
    cgroup = cgroup_of(box)
    assert os.stat(cgroup.directories[0]).st_uid == owner
    assert os.stat(f"{cgroup.directories[0]}/cgroup.procs").st_uid == owner
    # What limits the container is not its own to change.
    if "hugetlb" in CONTROLLERS:
        assert os.stat(f"{cgroup.directories[0]}/hugetlb.2MB.max").st_uid == 0
    box.start()
    assert box.wait(timeout=30 * support.SLOW).code == code
    box.delete()
    assert not exists(cgroup)


@unified
def test_the_user_of_a_container_without_a_user_namespace(bundle, container):
    delegated(bundle, ["rw"], user_namespace=False)
    bundle.config["process"]["user"] = {"uid": 1234, "gid": 1234}
    box = container(MANAGE, {})
    assert os.stat(cgroup_of(box).directories[0]).st_uid == 1234
    box.start()
    assert box.wait(timeout=30 * support.SLOW).code == 0


@unified
def test_a_container_below_a_threaded_cgroup(bundle, container, name):
    top = Path(LAYOUT.hierarchies[0].mount + name)
    (top / "t").mkdir(parents=True)
    (top / "t/cgroup.type").write_text("threaded")
    bundle.config["linux"]["cgroupsPath"] = f"{name}/t/box"
    box = container("sleep 1000", {})
    box.start()
    assert (top / "t/box/cgroup.type").read_text() == "threaded\n"
    assert cgroup_of(box).pids() == [box.pid]
    box.delete(force=True)
    assert not (top / "t/box").exists()


# --- refusals by command line ----------------------------------------------------------------

REFUSED = {
    "/linux/resources/hugepageLimits/0/pageSize": {
        "hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]
    },
    "/linux/resources/unified/..~1memory.max": {"unified": {"../memory.max": "1"}},
    "/linux/resources/pids/limit": {"pids": {"limit": 1 << 63}},
    "/linux/resources/memory/limit": {"memory": {"limit": -2}},
    "/linux/resources/memory/swappiness": {"memory": {"swappiness": -1}},
    "/linux/resources/cpu/shares": {"cpu": {"shares": 1 << 64}},
    "/linux/resources/blockIO/weight": {"blockIO": {"weight": 65536}},
    "/linux/resources/network/classID": {"network": {"classID": 1 << 32}},
    "/linux/resources/rdma/mlx": {"rdma": {"mlx": {}}},
    "/linux/resources/rdma/mlx/hcaHandles": {"rdma": {"mlx": {"hcaHandles": -1}}},
    "/linux/resources/blockIO/throttleReadBpsDevice/0": {
        "blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 0, "rate": 5}]}
    },
}


@pytest.mark.parametrize("pointer", REFUSED)
def test_refusals_are_one_line_and_leave_nothing(runtime, bundle, pointer):
    if "blockIO/throttle" in pointer and not {"io", "blkio"} & CONTROLLERS:
        pytest.skip("the io controller is not there")
    bundle.config["linux"]["resources"] |= REFUSED[pointer]
    bundle.write()
    name = runtime.new_id()
    done = runtime("create", "-b", str(bundle.path), name, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert pointer in done.stderr
    assert not support.cgroups_named(name)
    assert not runtime.root.exists() or not list(runtime.root.iterdir())
