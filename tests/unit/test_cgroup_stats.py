# SPDX-License-Identifier: Apache-2.0
"""Statistics from the texts of cgroup files, and the JSON of `events`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups import psi, stats, stats_v1, stats_v2
from pyrunc.cgroups.stats import NO_LIMIT, Stats, Usage
from pyrunc.errors import CgroupError
from pyrunc.observe import stats as shown

V2 = {
    "cpu.stat": "usage_usec 300\nuser_usec 200\nsystem_usec 100\nnr_periods 7\nnr_throttled 2\n"
    "throttled_usec 50\nnr_bursts 1\nburst_usec 9",
    "cpu.pressure": "some avg10=1.50 avg60=0.00 avg300=2.00 total=77",
    "memory.stat": "anon 10\nfile 4096\nsock 0",
    "memory.current": "8192",
    "memory.peak": "16384",
    "memory.max": "65536",
    "memory.swap.current": "100",
    "memory.swap.max": "1000",
    "memory.events": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4",
    "pids.current": "3",
    "pids.max": "16",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:16 rbytes=7",
    "hugetlb.2MB.rsvd.current": "2097152",
    "hugetlb.2MB.current": "1",
    "hugetlb.2MB.max": "max",
    "hugetlb.2MB.events": "max 5",
    "rdma.current": "mlx4_0 hca_handle=2 hca_object=2000",
    "rdma.max": "mlx4_0 hca_handle=3 hca_object=max",
    "misc.current": "sev 4",
    "misc.events": "sev.max 6",
}


def files(content: dict[str, str]) -> Callable[[str], str]:
    return lambda name: content.get(name, "")


def unified(content: dict[str, str]) -> Stats:
    return stats_v2.collect(files(content), lambda: 42, ["2MB", "1GB"])


def test_v2() -> None:
    found = unified(V2)
    assert (found.cpu.total, found.cpu.user, found.cpu.kernel) == (300_000, 200_000, 100_000)
    cpu = found.cpu
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled) == (7, 2, 50_000)
    assert (cpu.bursts, cpu.burst) == (1, 9000)
    assert found.cpu.pressure is not None
    assert found.cpu.pressure.some.avg10 == 1.5
    assert found.cpu.pressure.full.total == 0
    assert found.memory.usage == Usage(usage=8192, max=16384, limit=65536)
    assert found.memory.with_swap == Usage(usage=8292, limit=66536)
    assert found.memory.cache == 4096
    assert found.memory.events["oom_kill"] == 4
    assert found.memory.pressure is None
    assert found.pids == stats.Pids(current=3, limit=16)
    assert [(e.minor, e.op, e.value) for e in found.io.service_bytes] == [
        (0, "Read", 1), (0, "Write", 2), (16, "Read", 7),
    ]  # fmt: skip
    assert [(e.op, e.value) for e in found.io.serviced] == [("Read", 3), ("Write", 4)]
    assert found.hugetlb == {"2MB": Usage(usage=2097152, limit=NO_LIMIT, failcnt=5)}
    assert found.rdma["mlx4_0"].handles == 2
    assert found.rdma["mlx4_0"].objects_limit == NO_LIMIT
    assert found.misc == {"sev": (4, 6)}


@pytest.mark.parametrize(
    ("memory", "swap", "limit"),
    [("max", "max", NO_LIMIT), ("max", "5", NO_LIMIT), ("5", "max", NO_LIMIT), ("5", "6", 11)],
)
def test_memory_and_swap_together_never_wrap(memory: str, swap: str, limit: int) -> None:
    content = {"memory.max": memory, "memory.swap.max": swap, "memory.current": "1"}
    assert unified(content).memory.with_swap.limit == limit


def test_without_controllers() -> None:
    assert unified({}) == Stats(pids=stats.Pids(current=42))
    assert unified({"pids.current": "1", "pids.max": "max"}).pids.limit == 0


def test_pressure_that_is_turned_off() -> None:
    def refuse(_: str) -> str:
        raise CgroupError("read", "read", 95, "cpu.pressure")

    assert psi.pressure(refuse, "cpu") is None


V1 = {
    "cpuacct.stat": "user 3\nsystem 4",
    "cpuacct.usage": "12345",
    "cpuacct.usage_percpu": "100 200 ",
    "cpuacct.usage_all": "cpu user system\n0 1 2\n1 3 4",
    "cpu.stat": "nr_periods 5\nnr_throttled 6\nthrottled_time 7\nnr_bursts 8\nburst_time 9",
    "cpuset.cpus": "0-1,4",
    "cpuset.mems": "0",
    "cpuset.sched_relax_domain_level": "-1",
    "cpuset.sched_load_balance": "1",
    "memory.stat": "cache 5\nrss 6",
    "memory.usage_in_bytes": "1",
    "memory.max_usage_in_bytes": "2",
    "memory.limit_in_bytes": "9223372036854771712",
    "memory.failcnt": "3",
    "memory.memsw.usage_in_bytes": "4",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
    "pids.current": "9",
    "pids.max": "max",
    "blkio.bfq.io_serviced_recursive": "Total 0",
    "blkio.bfq.io_service_bytes_recursive": "Total 0",
    "blkio.throttle.io_serviced_recursive": "254:0 Read 1\n254:0 Total 1\nTotal 1",
    "blkio.throttle.io_service_bytes_recursive": "254:0 Read 4096\nTotal 4096",
    "hugetlb.2MB.usage_in_bytes": "0",
    "hugetlb.2MB.max_usage_in_bytes": "5",
    "hugetlb.2MB.limit_in_bytes": "6",
    "hugetlb.2MB.failcnt": "7",
}


def legacy(content: dict[str, str]) -> Stats:
    return stats_v1.collect(lambda _, name: content.get(name, ""), lambda: 42, ["2MB", "1GB"])


def test_v1() -> None:
    found = legacy(V1)
    assert found.cpu == stats.Cpu(
        total=12345, user=30_000_000, kernel=40_000_000, percpu=[100, 200], percpu_user=[1, 3],
        percpu_kernel=[2, 4], periods=5, throttled_periods=6, throttled=7, bursts=8, burst=9,
    )  # fmt: skip
    assert (found.cpuset.cpus, found.cpuset.mems) == ([0, 1, 4], [0])
    switches = {"sched_load_balance": 1, "sched_relax_domain_level": -1}
    assert found.cpuset.switches == switches
    assert found.memory.usage == Usage(usage=1, max=2, limit=9223372036854771712, failcnt=3)
    assert (found.memory.with_swap.usage, found.memory.cache) == (4, 5)
    assert found.memory.events == {"oom_kill": 2}
    assert found.pids == stats.Pids(current=9)
    assert [(e.op, e.value) for e in found.io.serviced] == [("Read", 1)]
    assert found.hugetlb == {"2MB": Usage(max=5, limit=6, failcnt=7)}
    assert legacy({}) == Stats(pids=stats.Pids(current=42))


def test_bfq_counts_where_it_schedules() -> None:
    content = {**V1, "blkio.bfq.io_serviced_recursive": "8:0 Sync 3"}
    assert [e.value for e in legacy(content).io.serviced] == [3]


@pytest.mark.parametrize(
    ("text", "value"), [("max", NO_LIMIT), ("", 0), ("-5", 0), ("5\n", 5), ("x", 0), ("²", 0)]
)
def test_numbers(text: str, value: int) -> None:
    assert stats.number(text) == value


@given(st.text("ab01 =:.\n-x", max_size=60))
def test_any_text_of_a_file_is_read(text: str) -> None:
    stats.pairs(text)
    stats.keyed(text)
    stats.rdma(text, text)
    stats_v2.misc(lambda _: text)


def test_the_json_of_a_v2_cgroup() -> None:
    found = shown.event("id", unified({**V2, "memory.stat": "file 5\nanon 1"}))
    assert list(found) == ["type", "id", "data"]
    data = found["data"]
    assert list(data) == [
        "cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces",
    ]  # fmt: skip
    assert data["cpu"] == {
        "usage": {"total": 300_000, "kernel": 100_000, "user": 200_000},
        "throttling": {"periods": 7, "throttledPeriods": 2, "throttledTime": 50_000},
        "psi": {
            "some": {"avg10": 1.5, "avg60": 0, "avg300": 2, "total": 77},
            "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0},
        },
    }
    assert '"avg60": 0,' in json.dumps(data)
    assert data["memory"]["raw"] == {"anon": 1, "file": 5}
    assert list(data["memory"]["raw"]) == ["anon", "file"]
    assert data["memory"]["usage"] == {"limit": 65536, "usage": 8192, "max": 16384, "failcnt": 0}
    assert data["memory"]["kernel"] == {"limit": 0, "failcnt": 0}
    assert data["pids"] == {"current": 3, "limit": 16}
    assert data["blkio"]["ioServicedRecursive"][0] == {
        "major": 8, "op": "Read", "value": 3,
    }  # fmt: skip
    assert data["hugetlb"] == {"2MB": {"usage": 2097152, "failcnt": 5}}


def test_the_json_of_nothing() -> None:
    data = shown.data(Stats())
    assert data["cpu"] == {"usage": {"kernel": 0, "user": 0}, "throttling": {}}
    assert data["blkio"] == data["hugetlb"] == data["intel_rdt"] == {}
    assert data["network_interfaces"] is None
    assert data["cpuset"]["sched_load_balance"] == 0
    assert shown.oom_event("id") == {"type": "oom", "id": "id"}


def test_a_misspelt_member_is_an_error() -> None:
    with pytest.raises(TypeError, match="totl"):
        stats.Cpu(totl=1)
    assert "total=5" in repr(stats.Cpu(total=5))
