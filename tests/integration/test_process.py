# SPDX-License-Identifier: Apache-2.0
"""How the program is scheduled, where its memory lies, what its clocks say."""

from __future__ import annotations

import os

import pytest

from tests.lib.support import refused, said

# Fields 18, 19, 40 and 41 of /proc/PID/stat: priority, nice, real-time priority, policy.
STAT = "cut -d' ' -f 18,19,40,41 /proc/$$/stat"


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"policy": "SCHED_OTHER", "nice": 7}, "27 7 0 0"),
        ({"policy": "SCHED_BATCH", "nice": -3}, "17 -3 0 3"),
        ({"policy": "SCHED_IDLE"}, "20 0 0 5"),
        ({"policy": "SCHED_FIFO", "priority": 10}, "-11 0 10 1"),
        ({"policy": "SCHED_RR", "priority": 20, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
         "-21 0 20 2"),
    ],
    ids=lambda value: value["policy"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_scheduler(runtime, bundle, scheduler, expected):
    bundle.config["process"]["scheduler"] = scheduler
    real_time = scheduler["policy"] in ("SCHED_FIFO", "SCHED_RR")
    # cgroup v1 gives a group no real-time at all unless it is told to (cpu.rt_runtime_us).
    if real_time and os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
        bundle.config["linux"]["resources"]["cpu"] = {"realtimeRuntime": 1000}
    assert said(runtime, bundle, STAT).strip() == expected


def test_a_deadline_that_is_none(runtime, bundle):
    scheduler = {"policy": "SCHED_DEADLINE", "runtime": 9, "deadline": 5, "period": 1}
    bundle.config["process"]["scheduler"] = scheduler
    assert "set the scheduler: sched_setattr: invalid argument" in refused(runtime, bundle)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("IOPRIO_CLASS_BE", 3), "best-effort: prio 3"),
        (("IOPRIO_CLASS_RT", 5), "realtime: prio 5"),
        (("IOPRIO_CLASS_IDLE", 0), "idle"),
    ],
)
def test_io_priority(runtime, bundle, wanted, expected):
    bundle.config["process"]["ioPriority"] = {"class": wanted[0], "priority": wanted[1]}
    assert said(runtime, bundle, "busybox ionice -p $$").strip().startswith(expected)


def test_personality(runtime, bundle):
    bundle.config["linux"]["personality"] = {"domain": "LINUX32"}
    machine = os.uname().machine
    expected = {"x86_64": "i686", "aarch64": "armv8l"}.get(machine, machine)
    assert said(runtime, bundle, "busybox uname -m").strip() == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
         "interleave=static:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
    ids=lambda value: value["mode"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_memory_policy(runtime, bundle, policy, expected):
    bundle.config["linux"]["memoryPolicy"] = policy
    text = said(runtime, bundle, "cat /proc/$$/numa_maps")
    assert {line.split()[1] for line in text.splitlines()} == {expected}


def test_memory_of_a_node_that_is_not_there(runtime, bundle):
    bundle.config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "900"}
    assert "set the memory policy: set_mempolicy: invalid argument" in refused(runtime, bundle)
    bundle.config["linux"]["memoryPolicy"]["nodes"] = "1-0"
    assert "/linux/memoryPolicy/nodes" in refused(runtime, bundle)


@pytest.mark.parametrize("user", [False, True])
def test_clocks(runtime, bundle, user):
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "time"})
    if user:
        linux["namespaces"].append({"type": "user"})
        maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
        linux["uidMappings"] = linux["gidMappings"] = maps
    linux["timeOffsets"] = {
        "monotonic": {"secs": 5000, "nanosecs": 7},
        "boottime": {"secs": 1000000},
    }
    text = said(runtime, bundle, "cat /proc/self/timens_offsets; cat /proc/uptime")
    lines = text.splitlines()
    assert lines[0].split() == ["monotonic", "5000", "7"]
    assert lines[1].split() == ["boottime", "1000000", "0"]
    assert float(lines[2].split()[0]) > 1000000


def test_a_clock_out_of_range(runtime, bundle):
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1 << 62}}
    assert "[/linux/timeOffsets/boottime]" in refused(runtime, bundle)


@pytest.mark.parametrize("name", ["apparmorProfile", "selinuxLabel"])
def test_a_label_that_nothing_enforces(runtime, bundle, name):
    if os.path.exists("/sys/module/apparmor" if name == "apparmorProfile" else "/sys/fs/selinux"):
        pytest.skip("this host enforces such labels")
    bundle.config["process"][name] = "label"
    assert "is not enabled on this host" in refused(runtime, bundle)


def test_a_label_of_mounts_that_nothing_enforces(runtime, bundle):
    """It confines nothing: left out, and told."""
    if os.path.exists("/sys/fs/selinux"):
        pytest.skip("this host enforces such labels")
    bundle.config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0"
    done = runtime.run(bundle.args("/bin/true"))
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "/linux/mountLabel: left out" in done.stderr


def test_the_callers_groups_can_be_kept(runtime, bundle):
    """crun's annotation, which podman's --group-add keep-groups sets."""
    runtime.prefix = ("setpriv", "--groups", "1234,2345")
    assert runtime.run(bundle.args("/bin/id", "-G")).stdout == "0\n"
    bundle.config["annotations"] = {"run.oci.keep_original_groups": "1"}
    assert runtime.run(bundle.args("/bin/id", "-G")).stdout == "0 1234 2345\n"
    # The list has no place beside them: distrobox and others set both.
    bundle.config["process"]["user"]["additionalGids"] = [7]
    assert runtime.run(bundle.args("/bin/id", "-G")).stdout == "0 1234 2345\n"
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    assert runtime("exec", name, "/bin/id", "-G").stdout == "0 1234 2345\n"
    assert runtime("exec", "-g", "9", name, "/bin/id", "-G").stdout == "0 1234 2345\n"


def test_a_cpuset_as_the_reason_of_a_refused_deadline(runtime, bundle):
    if os.sysconf("SC_NPROCESSORS_ONLN") < 2:
        pytest.skip("needs two processors")
    second = 1_000_000_000
    bundle.config["process"]["scheduler"] = {
        "policy": "SCHED_DEADLINE", "runtime": second // 100, "deadline": second, "period": second,
    }  # fmt: skip
    bundle.config["linux"]["resources"]["cpu"] = {"cpus": "0", "mems": "0"}
    text = refused(runtime, bundle)
    assert "sched_setattr: operation not permitted" in text
    assert "does a cpuset leave some out (linux.resources.cpu.cpus)?" in text
