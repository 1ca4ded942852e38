# SPDX-License-Identifier: Apache-2.0
"""pyrunc.Limits: what it compiles to, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyrunc
from pyrunc import Limits
from pyrunc.cgroups import check
from pyrunc.spec.load import decode_resources

MIB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "resources"),
    [
        (Limits(), {}),
        (Limits(memory_max=MIB), {"memory": {"limit": MIB}}),
        (Limits(memory_max=MIB, swap_max=0), {"memory": {"limit": MIB, "swap": MIB}}),
        (Limits(memory_max=MIB, swap_max=5), {"memory": {"limit": MIB, "swap": MIB + 5}}),
        (Limits(swap_max=0), {"unified": {"memory.swap.max": "0"}}),
        (
            Limits(memory_min=1, memory_low=2, memory_high=3, oom_group=True),
            {
                "memory": {"reservation": 2},
                "unified": {"memory.min": "1", "memory.high": "3", "memory.oom.group": "1"},
            },
        ),
        (Limits(oom_group=False), {"unified": {"memory.oom.group": "0"}}),
        (Limits(cpus=1.5), {"cpu": {"quota": 150_000, "period": 100_000}}),
        (
            Limits(cpus=2, cpu_burst=0.1),
            {"cpu": {"quota": 200_000, "period": 100_000, "burst": 100_000}},
        ),
        (Limits(cpu_weight=50), {"unified": {"cpu.weight": "50"}}),
        (Limits(cpu_shares=512), {"cpu": {"shares": 512}}),
        (Limits(cpu_idle=True), {"cpu": {"idle": 1}}),
        (
            Limits(cpuset_cpus=[0, 2], cpuset_mems="0"),
            {"cpu": {"cpus": "0,2", "mems": "0"}},
        ),
        (Limits(pids=16), {"pids": {"limit": 16}}),
        (Limits(io_weight=200), {"unified": {"io.weight": "default 200"}}),
        (
            Limits(io_latency={"8:0": 2.5, (8, 16): 1}),
            {"unified": {"io.latency": "8:0 target=2500\n8:16 target=1000"}},
        ),
        (
            Limits(io_max={"8:0": {"rbps": 10, "wiops": 5}}),
            {
                "blockIO": {
                    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 10}],
                    "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 5}],
                }
            },
        ),
        (
            Limits(hugepages={"2MB": 4 * MIB}),
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
        ),
    ],
    ids=repr,
)
def test_compiled(limits: Limits, resources: dict[str, Any]) -> None:
    assert limits.to_resources() == resources
    decode_resources(resources)


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_max": -1},
        {"memory_max": 0},
        {"memory_max": "64M"},
        {"memory_max": 1e6},
        {"memory_max": True},
        {"memory_max": 1 << 63},
        {"swap_max": -1},
        {"memory_max": 10, "memory_high": 11},
        {"memory_max": 10, "memory_min": 11},
        {"oom_group": 2},
        {"oom_group": 1.0},
        {"cpus": 0},
        {"cpus": float("nan")},
        {"cpus": float("inf")},
        {"cpus": "2"},
        {"cpu_burst": 1},
        {"cpus": 1, "cpu_burst": 0.2},
        {"cpu_weight": 0},
        {"cpu_weight": 10_001},
        {"cpu_weight": 100, "cpu_shares": 1024},
        {"cpu_idle": True, "cpu_weight": 100},
        {"cpu_shares": 1},
        {"cpuset_cpus": "a"},
        {"cpuset_cpus": []},
        {"cpuset_cpus": [-1]},
        {"pids": 0},
        {"pids": 1.5},
        {"io_weight": 0},
        {"io_max": {"8:0": {"bps": 1}}},
        {"io_max": {"8:0": {"rbps": 0}}},
        {"io_max": {"sda": {"rbps": 1}}},
        {"io_max": {"/dev/null": {"rbps": 1}}},
        {"io_max": {"/no/such": {"rbps": 1}}},
        {"io_latency": {"8:0": -1}},
        {"io_latency": {"8:": 1}},
        {"hugepages": {"2MB": -1}},
    ],
    ids=repr,
)
def test_refused_with_the_name_of_the_limit(wrong: dict[str, Any]) -> None:
    with pytest.raises(pyrunc.UsageError) as caught:
        Limits(**wrong)
    assert str(caught.value).startswith("Limits: ")
    assert any(name in str(caught.value) for name in wrong) or "idle" in str(caught.value)


def test_they_go_before_what_the_configuration_says() -> None:
    config: dict[str, Any] = {
        "linux": {"resources": {"memory": {"limit": 1, "swappiness": 5}, "pids": {"limit": 1}}}
    }
    Limits(memory_max=MIB, cpus=1).add_to(config)
    resources = config["linux"]["resources"]
    assert resources["memory"] == {"limit": MIB, "swappiness": 5}
    assert resources["pids"] == {"limit": 1}
    assert resources["cpu"]["quota"] == 100_000
    for odd in ({"linux": 5}, {"linux": {"resources": []}}):
        Limits(pids=5).add_to(odd)  # the check of the document refuses it


@given(
    st.builds(
        Limits,
        memory_max=st.none() | st.integers(1, 1 << 62),
        swap_max=st.none() | st.integers(0, 1 << 61),
        cpus=st.none() | st.floats(0.01, 1000),
        cpu_weight=st.none() | st.integers(1, 10_000),
        pids=st.none() | st.integers(1, 1 << 40),
        io_weight=st.none() | st.integers(1, 10_000),
        oom_group=st.none() | st.booleans(),
    )
)
def test_what_it_compiles_to_is_valid(limits: Limits) -> None:
    check.values(decode_resources(limits.to_resources()), v2=True, base="")
