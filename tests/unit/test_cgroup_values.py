# SPDX-License-Identifier: Apache-2.0
"""io, hugetlb, rdma, the network's controllers and `unified`: what is written and refused.

All of it pure. Properties that hold for every value are held by hypothesis.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups import (
    check,
    cpu,
    hugetlb,
    io,
    memory,
    network,
    pids,
    rdma,
    unified,
    values_v1,
    values_v2,
)
from pyrunc.cgroups.write import BYTES, FLAG, KEYED, LIST, PAIR, TEXT, WRITTEN, Limit, expand, same
from pyrunc.errors import PyruncError, SpecError
from pyrunc.spec import model_resources as model
from pyrunc.spec.check_resources import check_resources
from pyrunc.spec.fields import decode_object
from pyrunc.spec.wrong import Wrong

UINT64 = st.integers(0, (1 << 64) - 1)

PAGE = os.sysconf("SC_PAGESIZE")


def pairs(found: list[Limit]) -> list[tuple[str, str]]:
    return [(one.file, one.value) for one in found]


def block(**members: Any) -> model.BlockIO:
    return model.BlockIO(**members)


def device(**members: Any) -> model.WeightDevice:
    return model.WeightDevice(major=8, minor=0, **members)


def rates(*values: int) -> tuple[model.ThrottleDevice, ...]:
    return tuple(model.ThrottleDevice(major=8, minor=n, rate=r) for n, r in enumerate(values))


# --- io --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blkio", "v2"), [(10, 1), (11, 11), (100, 910), (300, 2930), (500, 4950), (1000, 10000)]
)
def test_weight(blkio: int, v2: int) -> None:
    assert io.weight(blkio) == v2


@given(st.integers(10, 999))
def test_weight_grows_within_the_kernel_s_range(blkio: int) -> None:
    assert 1 <= io.weight(blkio) < io.weight(blkio + 1) <= 10000


def test_weights_on_v1() -> None:
    asked = block(weight=200, leafWeight=300, weightDevice=(device(weight=20, leafWeight=30),))
    bfq = io.limits_v1(asked, lambda name: False)
    assert pairs(bfq) == [
        ("blkio.bfq.weight", "200"),
        ("blkio.leaf_weight", "300"),
        ("blkio.bfq.weight_device", "8:0 20"),
        ("blkio.leaf_weight_device", "8:0 30"),
    ]
    cfq = io.limits_v1(asked, lambda name: name == "blkio.weight")
    assert [one.file for one in cfq][::2] == ["blkio.weight", "blkio.weight_device"]


def test_weights_on_v2() -> None:
    asked = block(weight=100, weightDevice=(device(weight=500),))
    assert pairs(io.limits_v2(asked, lambda name: False)) == [
        ("io.weight", "910"),
        ("io.weight", "8:0 4950"),
    ]
    assert pairs(io.limits_v2(asked, lambda name: name == "io.bfq.weight")) == [
        ("io.bfq.weight", "100"),
        ("io.bfq.weight", "8:0 500"),
    ]
    assert io.limits_v2(block(weight=0, weightDevice=(device(weight=0),)), lambda _: True) == []


def test_throttles() -> None:
    asked = block(
        throttleReadBpsDevice=rates(1, 2),
        throttleWriteBpsDevice=rates(3),
        throttleReadIOPSDevice=rates(4),
        throttleWriteIOPSDevice=rates(5),
    )
    assert pairs(io.limits_v1(asked, lambda _: False)) == [
        ("blkio.throttle.read_bps_device", "8:0 1"),
        ("blkio.throttle.read_bps_device", "8:1 2"),
        ("blkio.throttle.write_bps_device", "8:0 3"),
        ("blkio.throttle.read_iops_device", "8:0 4"),
        ("blkio.throttle.write_iops_device", "8:0 5"),
    ]
    found = io.limits_v2(asked, lambda _: False)
    assert {one.file for one in found} == {"io.max"}
    assert [one.value for one in found] == [
        "8:0 rbps=1", "8:1 rbps=2", "8:0 wbps=3", "8:0 riops=4", "8:0 wiops=5",
    ]  # fmt: skip
    assert found[1].pointer == "/blockIO/throttleReadBpsDevice/1"


@pytest.mark.parametrize("member", [row[0] for row in io._THROTTLES])
@pytest.mark.parametrize("rate", [0, (1 << 64) - 1])
def test_rates_that_are_no_limit(member: str, rate: int) -> None:
    asked = block(**{member: rates(rate)})
    assert io.limits_v1(asked, lambda _: False)[0].value == "8:0 0"
    assert io.limits_v2(asked, lambda _: False)[0].value.endswith("=max")


def test_leaf_weights_are_refused_on_v2() -> None:
    for asked, pointer in (
        (block(leafWeight=10), "/base/blockIO/leafWeight"),
        (block(weightDevice=(device(leafWeight=9),)), "/base/blockIO/weightDevice/0/leafWeight"),
    ):
        io.check(asked, "/base", v2=False)
        with pytest.raises(SpecError) as caught:
            io.check(asked, "/base", v2=True)
        assert caught.value.pointer == pointer
    io.check(block(leafWeight=0, weight=5), "", v2=True)


def test_an_empty_object_asks_for_no_controller() -> None:
    asked = model.Resources(blockIO=block(weight=0), network=model.Network(classID=0))
    for v2 in (True, False):
        assert check.values(asked, v2, "") == []
        assert check.wanted(asked, v2, "") == {}
    assert values_v2.limits(asked, lambda _: "", "") == []
    assert values_v1.limits(asked, lambda *_: "", True) == []


# --- hugetlb ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kb", "text"), [(64, "64KB"), (2048, "2MB"), (1 << 20, "1GB"), (16 << 20, "16GB"), (4, "4KB")]
)
def test_sizes_are_spelt_as_the_kernel_does(kb: int, text: str) -> None:
    assert hugetlb.spell(kb) == text


def test_huge_pages() -> None:
    asked = [model.HugepageLimit(pageSize="2MB", limit=3 << 20)]
    found = hugetlb.limits(asked, v2=True)
    assert pairs(found) == [
        ("hugetlb.2MB.max", str(3 << 20)),
        ("hugetlb.2MB.rsvd.max", str(3 << 20)),
    ]
    assert [one.optional for one in found] == [False, True]
    assert same(BYTES, found[0].value, str(2 << 20), found[0].unit)
    assert not same(BYTES, found[0].value, str(4 << 20), found[0].unit)
    assert hugetlb.limits(asked, v2=False)[1].file == "hugetlb.2MB.rsvd.limit_in_bytes"


@pytest.mark.parametrize("kept", ["max", "9223372036852678656"])
def test_no_limit_on_huge_pages(kept: str) -> None:
    assert same(BYTES, str((1 << 64) - 1), kept, 2 << 20)


def test_a_size_that_the_host_lacks() -> None:
    asked = [model.HugepageLimit(pageSize=size, limit=1) for size in ("2MB", "4MB")]
    hugetlb.check(asked[:1], ["2MB"], "")
    with pytest.raises(SpecError) as caught:
        hugetlb.check(asked, ["2MB", "1GB"], "/base")
    assert str(caught.value) == (
        "config.json: /base/hugepageLimits/1/pageSize: this host has no huge pages of 4MB"
        " (it has 2MB, 1GB)"
    )


def test_the_sizes_of_this_host_are_readable() -> None:
    assert all(size[-2:] in ("KB", "MB", "GB") for size in hugetlb.sizes())


# --- rdma and network ------------------------------------------------------------------------


def test_rdma() -> None:
    asked = {
        "mlx5_1": model.Rdma(hcaHandles=3, hcaObjects=10000),
        "ocrdma1": model.Rdma(hcaObjects=0),
    }
    found = rdma.limits(asked)
    assert pairs(found) == [
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"),
        ("rdma.max", "ocrdma1 hca_object=0"),
    ]
    kept = "mlx5_1 hca_handle=3 hca_object=10000\nocrdma1 hca_handle=max hca_object=0"
    assert all(same(one.compare, one.value, kept) for one in found)


def test_network() -> None:
    priorities = tuple(
        model.InterfacePriority(name=n, priority=p) for n, p in [("lo", 5), ("e", 0)]
    )
    asked = model.Network(classID=1 << 20 | 1, priorities=priorities)
    assert pairs(network.classes(asked)) == [("net_cls.classid", "1048577")]
    found = network.priorities(asked)
    assert pairs(found) == [("net_prio.ifpriomap", "lo 5"), ("net_prio.ifpriomap", "e 0")]
    assert same(KEYED, found[0].value, "lo 5\ne 7")
    assert not same(KEYED, found[1].value, "lo 5\ne 7")
    resources = model.Resources(network=asked)
    with pytest.raises(SpecError) as caught:
        check.values(resources, True, "/base")
    assert caught.value.pointer == "/base/network/classID"
    assert list(check.wanted(resources, False, "")) == ["net_cls", "net_prio"]


# --- unified ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x.y", "a/b.c", "", "memory", ".max", "memory.", "Xemory.max", "memory.maX",
     "a\0.b", "..", "cpu.max\n", "../cgroup.procs",
     "cgroup.procs", "cgroup.kill", "cgroup.freeze", "cgroup.subtree_control"],
)  # fmt: skip
def test_unified_names_that_are_refused(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        unified.limits({name: "1"}, "/base")
    assert caught.value.pointer.startswith("/base/unified/")


def test_unified_values_with_a_nul_byte_are_refused() -> None:
    with pytest.raises(SpecError, match="NUL"):
        unified.limits({"memory.high": "1\0"}, "")


@pytest.mark.parametrize(
    ("name", "value", "compare", "kept"),
    [
        ("memory.high", str(PAGE + 904), BYTES, str(PAGE)),
        ("memory.high", "1G", BYTES, str(1 << 30)),
        ("memory.max", "max", BYTES, "max"),
        ("memory.max", "010000", WRITTEN, ""),
        ("memory.max", "0x1000", WRITTEN, ""),
        ("memory.max", "lots", WRITTEN, ""),
        ("memory.max", "1g2", WRITTEN, ""),
        ("memory.oom.group", "1", TEXT, "1"),
        ("pids.max", "7", TEXT, "7"),
        ("pids.max", "007", WRITTEN, ""),
        ("cpu.max", "5000", PAIR, "5000 100000"),
        ("cpu.max", "max 5000", PAIR, "max 5000"),
        ("cpuset.cpus", "0,1", LIST, "0-1"),
        ("cpuset.cpus", "", LIST, ""),
        ("io.weight", "default 5", FLAG, "default 5\n8:0 7"),
        ("io.weight", "5", FLAG, "default 5"),
        ("io.weight", "8:0 7", KEYED, "default 5\n8:0 7"),
        ("io.max", "8:0 rbps=1\n8:16 wbps=2\n", KEYED,
         "8:0 rbps=1 wbps=max\n8:16 rbps=max wbps=2"),
        ("hugetlb.2MB.max", "5000000", BYTES, "4194304"),
        ("hugetlb.2MB.rsvd.max", "max", BYTES, "max"),
        ("hugetlb.x.max", "5", WRITTEN, ""),
        ("hugetlb.max", "5", WRITTEN, ""),
        ("memory.reclaim", "1M", WRITTEN, ""),
        ("memory.high", "", TEXT, "\n"),
    ],
)  # fmt: skip
def test_unified(name: str, value: str, compare: str, kept: str) -> None:
    (found,) = unified.limits({name: value}, "")
    assert (found.file, found.compare) == (name, compare)
    if compare != WRITTEN:
        assert same(compare, found.value, kept, found.unit)


def test_unified_controllers() -> None:
    asked = {"hugetlb.2MB.max": "1", "cgroup.max.depth": "2"}
    assert unified.controllers(asked, "/b") == {"hugetlb": "/b/unified/hugetlb.2MB.max"}


NAMES = st.text("abcm./GKMB_0\n~é", max_size=12) | st.sampled_from(
    ["memory.max", "hugetlb.2MB.max"]
)


@given(NAMES, st.text(max_size=8))
def test_no_name_of_unified_leaves_the_cgroup(name: str, value: str) -> None:
    try:
        (found,) = unified.limits({name: value}, "")
    except SpecError as error:
        assert error.pointer.startswith("/unified/")
        assert "\n" not in str(error)
        return
    assert "/" not in found.file
    assert not found.file.startswith(".")
    assert found.file.partition(".")[0] != "cgroup" or found.file in unified.CORE
    assert found.value


# --- all of them, for any document -----------------------------------------------------------

NUMBER = st.one_of(
    st.integers(-3, 3), st.integers(-(1 << 65), 1 << 65), st.sampled_from([10, 1000, 1 << 20])
)
DEVICE = {"major": NUMBER, "minor": NUMBER}
RATES = st.lists(st.fixed_dictionaries({**DEVICE, "rate": NUMBER}), max_size=2)


def members(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, NUMBER)


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "memory": st.fixed_dictionaries(
            {},
            optional={
                **members("limit", "reservation", "swap", "kernel", "swappiness"),
                "disableOOMKiller": st.booleans(),
                "checkBeforeUpdate": st.booleans(),
            },
        ),
        "cpu": st.fixed_dictionaries(
            {},
            optional={
                **members("shares", "quota", "burst", "period", "realtimeRuntime", "idle"),
                "cpus": st.text(max_size=5),
            },
        ),
        "pids": st.fixed_dictionaries(members("limit")),
        "blockIO": st.fixed_dictionaries(
            {},
            optional={
                **members("weight", "leafWeight"),
                "weightDevice": st.lists(
                    st.fixed_dictionaries(DEVICE, optional=members("weight", "leafWeight")),
                    max_size=2,
                ),
                "throttleReadBpsDevice": RATES,
                "throttleWriteIOPSDevice": RATES,
            },
        ),
        "hugepageLimits": st.lists(
            st.fixed_dictionaries(
                {"pageSize": st.sampled_from(["2MB", "1GB", "../x", "2MB/.."]), "limit": NUMBER}
            ),
            max_size=2,
        ),
        "network": st.fixed_dictionaries({}, optional=members("classID")),
        "rdma": st.dictionaries(
            st.text(max_size=4),
            st.fixed_dictionaries({}, optional=members("hcaHandles", "hcaObjects")),
            max_size=2,
        ),
        "unified": st.dictionaries(NAMES, st.text(max_size=5), max_size=2),
    },
)


def compiled(raw: dict[str, Any], v2: bool) -> list[Limit]:
    """What a document becomes, as the drivers do it."""
    resources = decode_object(model.Resources, raw)
    check_resources(resources, "/linux/resources")
    check.values(resources, v2, "/linux/resources")
    if v2:
        return values_v2.limits(resources, lambda _: "", "/linux/resources")
    return [one for _, found in values_v1.limits(resources, lambda *_: "", True) for one in found]


@given(DOCUMENTS, st.booleans())
def test_any_document_gives_files_of_the_cgroup_or_one_line(raw: dict[str, Any], v2: bool) -> None:
    try:
        found = compiled(raw, v2)
    except Wrong as wrong:
        error: PyruncError = wrong.error("config.json", "/linux/resources")
        found = []
    except PyruncError as refused:
        error = refused
        found = []
    else:
        error = SpecError("", pointer="/linux/resources")
    assert error.pointer.startswith("/linux/resources")
    assert "\n" not in str(error)
    for one in found:
        assert one.pointer.startswith("/")
        assert one.value.strip(" ")
        assert "/" not in one.file
        assert "\0" not in one.value
        assert one.file.partition(".")[2]


@given(UINT64)
def test_shares_give_a_weight_that_the_kernel_takes(shares: int) -> None:
    assert 0 <= cpu.weight(shares) <= 10000


@given(st.integers(-1, (1 << 63) - 1), st.integers(-1, (1 << 63) - 1))
def test_swap_is_never_negative(limit: int, swap: int) -> None:
    asked = model.Memory(limit=limit, swap=swap)
    try:
        memory.check(asked, "", v2=True)
    except SpecError:
        return
    value = memory.swap_v2(limit, swap)
    assert value in ("", "max") or int(value) >= 0
    both = memory.limits_v1(asked, None, True)
    assert len(both) <= 2


@given(st.integers(-1, (1 << 63) - 1))
def test_a_limit_on_pids_is_one_the_kernel_takes(limit: int) -> None:
    (found,) = pids.limits(model.Pids(limit=limit))
    assert found.value == "max" or int(found.value) >= 1


@given(st.sets(st.integers(0, 70), min_size=1))
def test_lists_are_compared_as_sets(numbers: set[int]) -> None:
    ordered = sorted(numbers)
    text = ",".join(map(str, ordered))
    assert expand(text) == numbers
    assert same(LIST, text, ",".join(f"{n}-{n}" for n in reversed(ordered)))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0-2,4", {0, 1, 2, 4}),
        (" 0 , 2\n", {0, 2}),
        ("0-N", {0, 1, 2, 3, 4, 5, 6, 7}),
        ("N", {7}),
        ("all", {0, 1, 2, 3, 4, 5, 6, 7}),
        ("ALL:1/2", {0, 2, 4, 6}),
        ("0-1:1/2", {0}),
        ("0-7:2/4", {0, 1, 4, 5}),
        ("1-N:0/3", set()),
        ("0-3:5/4", None),
        ("0:1/1", None),
        ("0-3:1/0", None),
        ("3-1", None),
        ("0-3:1", None),
        ("0-", None),
        ("x", None),
        ("", set()),
    ],
)
def test_the_kernels_grammar_of_lists(text: str, numbers: set[int] | None) -> None:
    assert expand(text, last=7) == numbers
