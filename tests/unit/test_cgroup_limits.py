# SPDX-License-Identifier: Apache-2.0
"""What each controller writes, the refusals, and the read-back, on a directory of plain files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import check, cpu, cpuset, memory, pids, tree
from pyrunc.cgroups.layout import Hierarchy, Layout
from pyrunc.cgroups.write import (
    BYTES,
    FLAG,
    KEYED,
    LIST,
    PAIR,
    SHARES,
    TEXT,
    WRITTEN,
    Limit,
    Target,
    same,
    write_all,
)
from pyrunc.errors import CgroupError, PyruncError, SpecError
from pyrunc.spec.model_resources import CPU, Memory, Pids, Resources

PAGE = os.sysconf("SC_PAGESIZE")


def make(cls: type, **values: Any) -> Any:
    """An object of the model with the named members and nothing else set."""
    found = cls.__new__(cls)
    for name in cls.FIELDS:
        empty: Any = None
        if name in ("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"):
            empty = False
        elif name in ("devices", "hugepageLimits"):
            empty = ()
        elif name in ("rdma", "unified"):
            empty = {}
        object.__setattr__(found, name, values.get(name, empty))
    return found


def mem(**values: Any) -> Memory:
    found: Memory = make(Memory, **values)
    return found


def pairs(found: list[Limit]) -> list[tuple[str, str]]:
    return [(one.file, one.value) for one in found]


# cpu.shares -> cpu.weight, as runc 1.3 and crun compute it.
WEIGHTS = {
    0: 0, 1: 1, 2: 1, 3: 2, 10: 4, 100: 17, 256: 35, 512: 59, 1000: 99, 1024: 100, 1025: 101,
    2048: 174, 3072: 240, 4096: 303, 10240: 639, 65536: 3023, 100000: 4340, 262143: 10000,
    262144: 10000, 1 << 40: 10000,
}  # fmt: skip


@pytest.mark.parametrize(("shares", "weight"), WEIGHTS.items())
def test_weight_of_shares(shares: int, weight: int) -> None:
    assert cpu.weight(shares) == weight


def test_weight_never_falls() -> None:
    weights = [cpu.weight(shares) for shares in range(2, 262145, 7)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(
    ("limit", "swap", "value"),
    [
        (-1, None, "max"),
        (-1, 0, "max"),
        (100, -1, "max"),
        (None, -1, "max"),
        (100, None, ""),
        (None, None, ""),
        (-1, 500, "500"),
        (100, 150, "50"),
        (100, 100, "0"),
    ],
)
def test_swap_on_v2(limit: int | None, swap: int | None, value: str) -> None:
    assert memory.swap_v2(limit, swap) == value


def test_swap_without_limit() -> None:
    with pytest.raises(SpecError, match="without memory limit"):
        memory.check(mem(swap=5), "", v2=True)
    assert not memory.check(mem(swap=5), "", v2=False)


@pytest.mark.parametrize("v2", [True, False])
@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"limit": -2}, "limit"),
        ({"swap": -2}, "swap"),
        ({"reservation": -2}, "reservation"),
        ({"limit": 200, "swap": 100}, "swap"),
        ({"swappiness": 101}, "swappiness"),
    ],
)
def test_wrong_memory(values: dict[str, int], pointer: str, v2: bool) -> None:
    with pytest.raises(SpecError) as caught:
        memory.check(mem(**values), "/base", v2)
    assert caught.value.pointer == f"/base/memory/{pointer}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("kernel", 1), ("kernelTCP", 1), ("swappiness", 0), ("disableOOMKiller", True)],
)
def test_what_is_not_supported_on_v2_is_refused(name: str, value: int) -> None:
    with pytest.raises(SpecError, match=f"{name} is not supported on cgroup v2") as caught:
        memory.check(mem(**{name: value}), "", v2=True)
    assert caught.value.pointer == f"/memory/{name}"
    assert len(memory.check(mem(**{name: value}), "", v2=False)) == name.startswith("kernel")


def test_what_v2_does_by_itself_is_not_refused() -> None:
    asked = mem(kernel=-1, kernelTCP=0, disableOOMKiller=False, useHierarchy=True)
    assert memory.check(asked, "", v2=True) == []


def test_memory_on_v2_is_written_swap_first() -> None:
    found = memory.limits_v2(mem(limit=100, swap=150, reservation=-1))
    assert pairs(found) == [("memory.swap.max", "50"), ("memory.max", "100"), ("memory.low", "max")]


def test_only_harmless_swap_values_may_lack_their_file() -> None:
    optional = {
        swap: memory.limits_v2(mem(limit=100, swap=swap))[0].optional for swap in (-1, 100, 150)
    }
    assert optional == {-1: True, 100: True, 150: False}


@pytest.mark.parametrize(
    ("limit", "swap", "current", "has_swap", "order"),
    [
        (100, 200, None, True, ["limit=100", "swap=200"]),
        (100, 200, 150, True, ["swap=200", "limit=100"]),
        (100, 200, 300, True, ["limit=100", "swap=200"]),
        (100, -1, None, True, ["swap=-1", "limit=100"]),
        (-1, None, None, True, ["swap=-1", "limit=-1"]),
        (-1, None, None, False, ["limit=-1"]),
        (None, 200, None, True, ["swap=200"]),
        (0, 0, None, True, []),
    ],
)
def test_memory_order_on_v1(
    limit: int | None, swap: int | None, current: int | None, has_swap: bool, order: list[str]
) -> None:
    found = memory.limits_v1(mem(limit=limit, swap=swap), current, has_swap)
    names = {"memory.limit_in_bytes": "limit", "memory.memsw.limit_in_bytes": "swap"}
    assert [f"{names[one.file]}={one.value}" for one in found] == order


def test_other_memory_on_v1() -> None:
    found = memory.limits_v1(mem(reservation=5, disableOOMKiller=True, swappiness=0), None, True)
    assert pairs(found) == [
        ("memory.soft_limit_in_bytes", "5"),
        ("memory.oom_control", "1"),
        ("memory.swappiness", "0"),
    ]


def test_check_before_update() -> None:
    memory.refuse_below_usage(mem(limit=101), 100, "")
    with pytest.raises(SpecError, match="usage"):
        memory.refuse_below_usage(mem(limit=100), 100, "")
    with pytest.raises(SpecError, match="usage") as caught:
        memory.refuse_below_usage(mem(limit=-1, swap=100), 100, "/base")
    assert caught.value.pointer == "/base/memory/swap"


@pytest.mark.parametrize(
    ("values", "v2", "v1"),
    [
        ({"shares": 1024}, [("cpu.weight", "100")], [("cpu.shares", "1024")]),
        ({"shares": 0, "quota": 0, "period": 0}, [], []),
        ({"quota": 5000}, [("cpu.max", "5000 100000")], [("cpu.cfs_quota_us", "5000")]),
        ({"quota": -1}, [("cpu.max", "max 100000")], [("cpu.cfs_quota_us", "-1")]),
        ({"period": 9}, [("cpu.max", "max 9")], [("cpu.cfs_period_us", "9")]),
        (
            {"quota": 8, "period": 9, "burst": 7},
            [("cpu.max.burst", "7"), ("cpu.max", "8 9")],
            [("cpu.cfs_period_us", "9"), ("cpu.cfs_burst_us", "7"), ("cpu.cfs_quota_us", "8")],
        ),
        ({"idle": 1, "shares": 5}, [("cpu.idle", "1")], [("cpu.idle", "1")]),
        (
            {"idle": 0, "shares": 2},
            [("cpu.idle", "0"), ("cpu.weight", "1")],
            [("cpu.idle", "0"), ("cpu.shares", "2")],
        ),
        (
            {"realtimeRuntime": 1, "realtimePeriod": 2},
            [],
            [("cpu.rt_period_us", "2"), ("cpu.rt_runtime_us", "1")],
        ),
    ],
)
def test_cpu(values: dict[str, int], v2: list[Any], v1: list[Any]) -> None:
    asked = make(CPU, **values)
    assert pairs(cpu.limits_v2(asked)) == v2
    assert pairs(cpu.limits_v1(asked)) == v1


def test_burst_above_quota() -> None:
    with pytest.raises(SpecError) as caught:
        cpu.check(make(CPU, quota=5, burst=6), "/base", v2=False)
    assert caught.value.pointer == "/base/cpu/burst"
    cpu.check(make(CPU, quota=-1, burst=6), "", v2=True)


@pytest.mark.parametrize("name", ["realtimeRuntime", "realtimePeriod"])
def test_real_time_needs_v1(name: str) -> None:
    with pytest.raises(SpecError, match="limits on real-time tasks are not supported") as caught:
        cpu.check(make(CPU, **{name: 5}), "", v2=True)
    assert caught.value.pointer == f"/cpu/{name}"
    cpu.check(make(CPU, **{name: 0}), "", v2=True)
    cpu.check(make(CPU, **{name: 5}), "", v2=False)


def test_cpuset() -> None:
    asked = make(CPU, cpus="0-1", mems="")
    assert pairs(cpuset.limits(asked)) == [("cpuset.cpus", "0-1")]


@pytest.mark.parametrize(("limit", "value"), [(0, "1"), (-1, "max"), (7, "7")])
def test_pids(limit: int, value: str) -> None:
    assert pairs(pids.limits(make(Pids, limit=limit))) == [("pids.max", value)]


@pytest.mark.parametrize(
    ("compare", "wanted", "got", "verdict"),
    [
        (TEXT, "5", "5", True),
        (TEXT, "5", "6", False),
        (BYTES, str(PAGE + 1), str(PAGE), True),
        (BYTES, str(2 * PAGE), str(PAGE), False),
        (BYTES, "-1", str(((1 << 63) - 1) // PAGE * PAGE), True),
        (BYTES, "-1", str(PAGE), False),
        (BYTES, "max", "max", True),
        (BYTES, str((1 << 63) - 1), "max", True),
        (BYTES, "5", "", False),
        (LIST, "0,1,2", "0-2", True),
        (LIST, "0-2,4", "0-2", False),
        (LIST, "x", "y", False),
        (LIST, "0-99999999999", "0", False),
        (FLAG, "1", "oom_kill_disable 1\nunder_oom 0", True),
        (FLAG, "1", "oom_kill_disable 0\nunder_oom 1", False),
        (SHARES, "1", "2", False),
        (BYTES, "1G", str(1 << 30), True),
        (PAIR, "5 10", "5 10", True),
        (PAIR, "5", "5 10", True),
        (PAIR, "5", "50 10", False),
        (KEYED, "8:0 5", "8:0 5\n8:16 6", True),
        (KEYED, "8:0 5", "8:16 5", False),
        (KEYED, "8:0 0", "", True),
        (KEYED, "8:0 rbps=5", "8:0 rbps=5 wbps=max", True),
        (KEYED, "8:0 rbps=5", "8:0 rbps=50 wbps=max", False),
        (KEYED, "8:0 rbps=max", "", True),
        (KEYED, "8:0 rbps=max", "8:0 rbps=7 wbps=max", False),
        (KEYED, "8:0 rbps=1\n8:1 rbps=2", "8:0 rbps=1", False),
    ],
)
def test_comparison(compare: str, wanted: str, got: str, verdict: bool) -> None:
    assert same(compare, wanted, got) is verdict


@pytest.fixture
def directory(tmp_path: Path) -> Any:
    """A descriptor of a directory with files that keep what is written, as cgroupfs does."""
    for name in ("memory.max", "memory.low", "pids.max", "cpu.shares"):
        (tmp_path / name).touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def write(directory: int, found: list[Limit], **target: Any) -> None:
    write_all(Target(directory, "/cg", **target), found)


def test_writing_sets_the_files(directory: int, tmp_path: Path) -> None:
    write(directory, [Limit("memory.max", "5", "/m"), Limit("pids.max", "6", "")])
    assert (tmp_path / "memory.max").read_text() == "5"
    assert (tmp_path / "pids.max").read_text() == "6"


def test_a_missing_file_names_the_controller(directory: int, tmp_path: Path) -> None:
    with pytest.raises(CgroupError) as caught:
        write(directory, [Limit("cpu.max", "5", "/cpu/quota")])
    assert caught.value.object == "/cg/cpu.max"
    assert caught.value.pointer == "/linux/resources/cpu/quota"
    assert "the kernel has no such file" in caught.value.hint
    write(directory, [Limit("cpu.max", "5", "", optional=True)])
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    with pytest.raises(PyruncError) as refused:
        write(directory, [Limit("cpu.max", "5", "/cpu/quota")], base="", missing={"cpu": "because"})
    message = "the cpu controller is not available in /cg [/cpu/quota] (because)"
    assert str(refused.value) == message


def test_a_file_is_never_made(directory: int, tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match=r"io\.max.*no such file or directory"):
        write(directory, [Limit("io.max", "5", "", compare=WRITTEN)])
    assert not (tmp_path / "io.max").exists()


def test_symbolic_links_are_not_followed(directory: int, tmp_path: Path) -> None:
    (tmp_path / "outside").touch()
    (tmp_path / "cpu.max").symlink_to(tmp_path / "outside")
    with pytest.raises(CgroupError, match=r"cpu\.max.*too many levels of symbolic links"):
        write(directory, [Limit("cpu.max", "5", "")])
    assert not (tmp_path / "outside").read_text()


def test_what_the_kernel_does_not_keep_is_an_error(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "exchange", lambda *_: "2")
    with pytest.raises(PyruncError, match="wanted 5, the kernel keeps 2") as caught:
        write(directory, [Limit("pids.max", "5", "/pids/limit")])
    assert caught.value.pointer == "/linux/resources/pids/limit"
    with pytest.raises(PyruncError, match="the maximum allowed cpu-shares is 2"):
        write(directory, [Limit("cpu.shares", "5", "", compare=SHARES)])
    with pytest.raises(PyruncError, match="the minimum allowed cpu-shares is 2"):
        write(directory, [Limit("cpu.shares", "1", "", compare=SHARES)])


def test_a_deferred_value_is_tried_again_last(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []

    def exchange(_: int, name: str, value: str) -> str:
        order.append(name)
        if order == ["burst"]:
            raise OSError(22, "EINVAL")
        return value

    monkeypatch.setattr(tree, "exchange", exchange)
    write(directory, [Limit("burst", "1", "", defer=True), Limit("max", "2", "")])
    assert order == ["burst", "max", "burst"]


def test_missing_controllers_are_refused_only_when_asked_for() -> None:
    asked = make(Resources, memory=mem(limit=1), cpu=make(CPU, cpus="0"))
    found = check.wanted(asked, True, "")
    assert found == {"memory": "/memory", "cpuset": "/cpu/cpus"}
    with pytest.raises(PyruncError) as caught:
        check.available(found, ["memory"], "/cg", "look")
    assert str(caught.value) == "the cpuset controller is not available in /cg [/cpu/cpus] (look)"
    assert check.wanted(make(Resources, memory=mem(limit=0), cpu=make(CPU)), True, "") == {}


def test_unified_needs_v2() -> None:
    asked = make(Resources, unified={"memory.high": "1"})
    with pytest.raises(SpecError) as caught:
        check.values(asked, False, "/base")
    assert caught.value.pointer == "/base/unified"


def test_a_v1_host_without_devices_hierarchy_is_refused() -> None:
    manager = cgroups.new_manager(Layout("v1", (Hierarchy(("memory",), "/m", "/"),)), "/x", "id")
    manager.check(None, user_namespace=True)
    with pytest.raises(PyruncError, match="devices"):
        manager.check(None, user_namespace=False)
