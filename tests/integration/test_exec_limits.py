# SPDX-License-Identifier: Apache-2.0
"""Limits of a single process of a container: a cgroup of its own below the container's."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

import pyrunc
from pyrunc import Limits, cgroups
from pyrunc.cgroups.sub_cgroup import SubCgroup
from pyrunc.lifecycle import store
from tests.lib import support

V2 = support.needs_root() == "" and cgroups.detect().kind == "v2"
FORKS = "i=0; while [ $i -lt 20 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; wait"
MIB = 1 << 20


@pytest.fixture
def container(runtime, bundle):
    bundle.config["linux"]["resources"] = {"pids": {"limit": 100}}
    made = pyrunc.Container.create(
        str(bundle.args("/bin/sleep", "1000").path), runtime.new_id(), root=str(runtime.root)
    )
    made.start()
    yield made
    made.delete(force=True)


def sub_cgroups(container) -> list[str]:
    """Directories of cgroups for single processes that are there."""
    gc.collect()
    return [path for path in support.cgroups_named("exec-") if container.id in path]


def cgroup_of(pid: int, controller: str) -> Path:
    """Where a process is, in the hierarchy of a controller."""
    layout = cgroups.detect()
    hierarchy = next(h for h in layout.hierarchies if V2 or controller in h.names)
    wanted = {name for name in hierarchy.names if name}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if (V2 and not names) or (wanted and wanted == set(names.split(","))):
            return Path(hierarchy.mount + path)
    raise AssertionError(controller)


def test_processes_are_limited_and_the_container_is_not(container):
    process = container.popen(["/bin/sleep", "1000"], limits=Limits(pids=5, cpus=0.5))
    own = cgroup_of(process.pid, "pids")
    assert own.name.startswith("exec-")
    assert container.id in own.parent.name
    assert (own / "pids.max").read_text() == "5\n"
    assert (own.parent / "pids.max").read_text() == "100\n"
    quota = "cpu.max" if V2 else "cpu.cfs_quota_us"
    assert (cgroup_of(process.pid, "cpu") / quota).read_text().split()[0] == "50000"
    assert cgroup_of(container.pid, "pids") == own.parent
    process.kill()
    assert process.wait().signal == 9
    process.close()
    assert sub_cgroups(container) == []


def test_the_limit_holds(container):
    # The shell that cannot fork ends, and one that has ended is in no cgroup: this one stays.
    process = container.popen(["/bin/sh", "-c", f"({FORKS}); kill -STOP $$"], limits=Limits(pids=6))
    own = cgroup_of(process.pid, "pids")
    support.in_time(lambda: (own / "pids.events").read_text() != "max 0\n")
    assert int((own / "pids.current").read_text()) <= 6
    process.kill()
    process.wait()
    process.close()
    assert sub_cgroups(container) == []


def test_a_timeout_with_limits(container):
    with pytest.raises(pyrunc.ExecTimeout):
        container.exec(["/bin/sh", "-c", FORKS + "; sleep 9"], timeout=0.5, limits=Limits(pids=50))
    assert sub_cgroups(container) == []
    assert container.processes() == [container.pid]
    # And one without limits, where the cgroup above has become the root of threaded ones.
    with pytest.raises(pyrunc.ExecTimeout):
        container.exec(["/bin/sh", "-c", "sleep 1000 & sleep 1000"], timeout=0.3)
    assert sub_cgroups(container) == []
    assert container.processes() == [container.pid]


def test_several_at_once(container):
    codes = []

    def one(number: int) -> None:
        done = container.exec(["/bin/true"], limits=Limits(pids=3 + number), timeout=60)
        codes.append(done.code)

    support.at_once(one, 10)
    assert codes == [0] * 10
    assert sub_cgroups(container) == []


@pytest.mark.skipif(V2, reason="cgroup v1 only")
def test_memory_and_processors_on_v1(container):
    process = container.popen(
        ["/bin/sleep", "1000"], limits=Limits(memory_max=16 * MIB, cpuset_cpus="0")
    )
    own = cgroup_of(process.pid, "memory")
    assert (own / "memory.limit_in_bytes").read_text() == f"{16 * MIB}\n"
    assert (cgroup_of(process.pid, "cpuset") / "cpuset.cpus").read_text() == "0\n"
    # Only where it has a limit, and where its processes are counted.
    assert not cgroup_of(process.pid, "blkio").name.startswith("exec-")
    process.kill()
    process.wait()
    process.close()
    assert sub_cgroups(container) == []


@pytest.mark.skipif(not V2, reason="cgroup v2 only: v1 has limits of memory for any cgroup")
def test_memory_on_v2_is_refused(container):
    with pytest.raises(pyrunc.PyruncError, match="memory limits for one process next to others"):
        container.exec(["/bin/true"], limits=Limits(memory_max=16 * MIB))
    assert sub_cgroups(container) == []
    assert container.exec(["/bin/true"]).code == 0


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"pids": {"limit": "x"}}, r"limits: /pids/limit"),
        ({"cpu": {"cpus": "4096"}}, r"cpuset\.cpus|/cpu/cpus"),
        ({"hugepageLimits": [{"pageSize": "3KB", "limit": 1}]}, r"/hugepageLimits|hugetlb"),
        ({"unified": {"../x": "1"}}, r"/unified"),
    ],
)
def test_what_is_wrong(container, limits, text):
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(pyrunc.PyruncError, match=text):
        container.exec(["/bin/true"], limits=limits)
    assert sub_cgroups(container) == []
    assert container.processes() == [container.pid]
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_without_a_cgroup(runtime, bundle):
    made = pyrunc.Container.create(
        str(bundle.args("/bin/sleep", "1000").path), runtime.new_id(), root=str(runtime.root),
        no_cgroup=True,
    )  # fmt: skip
    try:
        made.start()
        with pytest.raises(pyrunc.UsageError, match="limits: the container has no cgroup"):
            made.exec(["/bin/true"], limits=Limits(pids=5))
    finally:
        made.delete(force=True)


def test_no_other_pids_than_its_own(container):
    """A threaded cgroup lists threads, and the one above it all processes."""
    container.exec(["/bin/true"], limits=Limits(pids=5))  # what is opened once is open now
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    process = container.popen(["/bin/sleep", "1000"], limits=Limits(pids=5))
    assert sorted(container.processes()) == sorted([container.pid, process.pid])
    process.kill()
    process.wait()
    process.close()
    del process  # its pidfd
    assert sub_cgroups(container) == []
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_one_with_a_timeout_next_to_one_with_limits(container):
    """Both ways round; on v2 who comes second may be refused, with the reason."""
    first = container.popen(["/bin/sleep", "1000"], own_cgroup=True)
    try:
        done = container.exec(["/bin/true"], limits=Limits(pids=9))
        assert done.code == 0
    except pyrunc.PyruncError as error:
        assert V2, error
        assert "while others of the container have a cgroup of their own" in str(error)
    first.kill()
    first.wait()
    first.close()
    second = container.popen(["/bin/sleep", "1000"], limits=Limits(pids=9))
    assert container.exec(["/bin/true"], timeout=60).code == 0
    second.kill()
    second.wait()
    second.close()
    assert sub_cgroups(container) == []


def test_a_container_that_has_gone_does_not_come_back(runtime, container):
    """Whoever is about to start a process must not make its cgroup again."""
    with store.open_entry(str(runtime.root), container.id) as entry:
        cgroup = cgroups.open_cgroup(entry.state().cgroup)
    container.delete(force=True)
    with pytest.raises(pyrunc.CgroupError, match="no such file or directory"):
        SubCgroup(cgroup)
    assert support.cgroups_named(container.id) == []


@pytest.mark.skipif(V2, reason="cgroup v1 only")
def test_what_the_container_s_own_would_not_hold_on_v1(container):
    """blkio throttles and network classes of v1 do not add up along the path."""
    for asked, name in (
        ({"blockIO": {"weight": 100}}, "blkio"),
        ({"network": {"classID": 65537}}, "net_cls"),
    ):
        with pytest.raises(
            pyrunc.PyruncError, match=f"{name} limits for one|{name} controller is not"
        ):
            container.exec(["/bin/true"], limits=asked)
    with pytest.raises(pyrunc.UsageError, match="device rules"):
        container.exec(["/bin/true"], limits={"devices": []})
    assert sub_cgroups(container) == []


@pytest.mark.skipif(V2, reason="cgroup v1 only")
def test_nothing_of_the_container_is_changed(container):
    burst = cgroup_of(container.pid, "cpu") / "cpu.cfs_burst_us"
    if not burst.exists():
        pytest.skip("the kernel has no bursts")
    container.update(Limits(cpus=0.5, cpu_burst=0.02))
    container.exec(["/bin/true"], limits={"cpu": {"burst": 0}})
    assert burst.read_text() == "20000\n"


@pytest.mark.skipif(V2, reason="cgroup v1 only: v2 has no such limit")
def test_out_of_memory(container):
    script = "x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo ${#x}"
    done = container.exec(["/bin/sh", "-c", script], limits=Limits(memory_max=8 * MIB, swap_max=0))
    assert done.exit.reason == "oom"
    assert container.state["status"] == "running"
