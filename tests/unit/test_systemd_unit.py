# SPDX-License-Identifier: Apache-2.0
"""The systemd driver's pure parts: names, properties, annotations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups import devices, unit_annotations, unit_name, unit_properties
from pyrunc.cgroups.device_rules import Policy
from pyrunc.cgroups.unit_properties import INFINITY
from pyrunc.errors import SpecError
from pyrunc.spec.load import decode_resources

LATEST = 257


@pytest.mark.parametrize(
    ("asked", "name", "parent", "path"),
    [
        (
            "machine.slice:libpod:abc",
            "libpod-abc.scope",
            "machine.slice",
            "/machine.slice/libpod-abc.scope",
        ),
        (None, "runc-id.scope", "system.slice", "/system.slice/runc-id.scope"),
        ("", "runc-id.scope", "system.slice", "/system.slice/runc-id.scope"),
        (":docker:x", "docker-x.scope", "system.slice", "/system.slice/docker-x.scope"),
        ("-:a:b", "a-b.scope", "-.slice", "/a-b.scope"),
        ("-.slice:a:b", "a-b.scope", "-.slice", "/a-b.scope"),
        (
            "kubepods-besteffort-pod1.slice:cri:c",
            "cri-c.scope",
            "kubepods-besteffort-pod1.slice",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-c.scope",
        ),
        ("a.slice::a-b.slice", "a-b.slice", "a.slice", "/a.slice/a-b.slice"),
    ],
)
def test_a_path_names_a_unit(asked: str | None, name: str, parent: str, path: str) -> None:
    unit = unit_name.parse(asked, "id", user=False)
    assert (unit.name, unit.slice, unit.path) == (name, parent, path)


def test_a_user_has_a_slice_of_its_own() -> None:
    assert unit_name.parse(":a:b", "id", user=True).path == "/user.slice/a-b.scope"


@pytest.mark.parametrize(
    "asked",
    [
        "/a/b",
        "a:b",
        "a.slice:b:c:d",
        "a:b:c",
        "a/b.slice:c:d",
        "../x.slice:c:d",
        "a--b.slice:c:d",
        "-a.slice:c:d",
        "a-.slice:c:d",
        ".slice:c:d",
        "a.slice:c:",
        "a.slice:c:d/e",
        "a.slice:..:d\0",
        "a.slice:c:" + "d" * 300,
        "a.slice:c:d e",
        "a.slice::b--c.slice",
    ],
)
def test_what_names_no_unit(asked: str) -> None:
    with pytest.raises(SpecError) as caught:
        unit_name.parse(asked, "id", user=False)
    assert caught.value.pointer == "/linux/cgroupsPath"


@given(st.text())
def test_no_path_leaves_the_hierarchy(text: str) -> None:
    try:
        unit = unit_name.parse(text, "id", user=False)
    except SpecError:
        return
    parts = unit.path.split("/")[1:]
    assert all(part not in ("", ".", "..") for part in parts)
    assert parts[-1] == unit.name


def of(resources: dict[str, Any], version: int = LATEST) -> dict[str, Any]:
    found = unit_properties.of_resources(decode_resources(resources), lambda: version)
    return {name: value for name, _, value in found}


@pytest.mark.parametrize(
    ("resources", "properties"),
    [
        ({"memory": {"limit": 1 << 25}}, {"MemoryMax": 1 << 25}),
        ({"memory": {"limit": -1}}, {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY}),
        ({"memory": {"limit": 100, "swap": 300}}, {"MemoryMax": 100, "MemorySwapMax": 200}),
        ({"memory": {"reservation": 77}}, {"MemoryLow": 77}),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": 100}),
        ({"cpu": {"shares": 1024, "idle": 1}}, {"CPUWeight": 0}),
        ({"cpu": {"quota": 20000}}, {"CPUQuotaPerSecUSec": 200_000}),
        (
            {"cpu": {"quota": 5555, "period": 50000}},
            {"CPUQuotaPerSecUSec": 120_000, "CPUQuotaPeriodUSec": 50000},
        ),
        ({"cpu": {"quota": -1}}, {"CPUQuotaPerSecUSec": INFINITY}),
        ({"cpu": {"cpus": "0-2,9"}}, {"AllowedCPUs": b"\x07\x02"}),
        ({"cpu": {"mems": "0"}}, {"AllowedMemoryNodes": b"\x01"}),
        ({"pids": {"limit": 16}}, {"TasksMax": 16}),
        ({"pids": {"limit": -1}}, {"TasksMax": INFINITY}),
        ({"unified": {"memory.high": "5000", "pids.max": "max"}},
         {"MemoryHigh": 5000, "TasksMax": INFINITY}),
        ({"memory": {"limit": 7}, "unified": {"memory.max": "9"}}, {"MemoryMax": 9}),
        ({"unified": {"cpu.max": "20000 100000"}},
         {"CPUQuotaPerSecUSec": 200_000, "CPUQuotaPeriodUSec": 100_000}),
        ({"unified": {"cpu.max": "max"}},
         {"CPUQuotaPerSecUSec": INFINITY, "CPUQuotaPeriodUSec": 100_000}),
        ({"unified": {"memory.oom.group": "1"}}, {"OOMPolicy": "kill"}),
        ({"unified": {"io.max": "8:0 rbps=1"}}, {}),
        ({}, {}),
    ],
)  # fmt: skip
def test_limits_as_properties(resources: dict[str, Any], properties: dict[str, Any]) -> None:
    assert of(resources) == properties


def test_an_older_systemd_gets_no_unknown_property() -> None:
    resources = {
        "cpu": {"quota": 20000, "period": 50000, "cpus": "0", "idle": 1},
        "unified": {"memory.oom.group": "1"},
    }
    assert of(resources, 239) == {"CPUQuotaPerSecUSec": 400_000}


def test_the_version_is_not_asked_for_without_need() -> None:
    def version() -> int:
        raise AssertionError

    resources = decode_resources({"memory": {"limit": 1 << 25}, "cpu": {"quota": 1000}})
    assert unit_properties.of_resources(resources, version)


@given(st.integers(1, 10**9), st.integers(1000, 10**6))
def test_a_rounded_quota_is_what_systemd_keeps(quota: int, period: int) -> None:
    rounded = unit_properties.rounded_quota(quota, period)
    assert rounded >= quota or (quota - rounded) < 2  # the kernel's file has whole numbers
    per_second = unit_properties.quota_per_second(quota, period)
    assert per_second % 10_000 == 0
    assert per_second * period // 1_000_000 == rounded


def test_devices_as_properties() -> None:
    default = unit_properties.of_devices(devices.policy(()))
    assert default[0] == ("DevicePolicy", "s", "strict")
    allowed = dict(default[1][2])
    assert allowed["char-*"] == allowed["block-*"] == "m"
    assert allowed["char-136"] == allowed["/dev/char/1:3"] == "rwm"
    auto = [("DevicePolicy", "s", "auto")]
    assert unit_properties.of_devices(Policy(True)) == auto
    # All minors of no major in particular: systemd cannot say that.
    assert unit_properties.of_devices(Policy(False, {("c", -1, 3): 7})) == auto


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CollectMode", "'inactive-or-failed'", ("CollectMode", "s", "inactive-or-failed")),
        ("TimeoutStopUSec", "uint64 5", ("TimeoutStopUSec", "t", 5)),
        ("TimeoutStopSec", "1.5", ("TimeoutStopUSec", "t", 1_500_000)),
        ("TimeoutStopSec", "uint64 2", ("TimeoutStopUSec", "t", 2_000_000)),
        ("KillSignal", "int32 15", ("KillSignal", "i", 15)),
        ("SendSIGHUP", "true", ("SendSIGHUP", "b", True)),
        ("After", "['a.service', \"b.service\"]", ("After", "as", ["a.service", "b.service"])),
        ("Before", "@as []", ("Before", "as", [])),
    ],
)
def test_annotations(name: str, text: str, expected: tuple[str, str, Any]) -> None:
    found = unit_annotations.properties({"x": "y", unit_annotations.PREFIX + name: text})
    assert found == [expected]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ExecStartPre", "[('/bin/sh', ['sh'], false)]"),
        ("User", "'root'"),
        ("Delegate", "true"),
        ("Slice", "'x.slice'"),
        ("DeviceAllow", "[('/dev/sda', 'rwm')]"),
        ("Wants", "['evil.service']"),
        ("", "1"),
        ("collectmode", "'inactive'"),
        ("CollectMode", "inactive"),
        ("CollectMode", "'a\\'b'"),
        ("CollectMode", "'a' + 'b'"),
        ("TimeoutStopUSec", "-1"),
        ("TimeoutStopUSec", "uint64 99999999999999999999"),
        ("TimeoutStopUSec", "'5'"),
        ("TimeoutStopSec", "nan"),
        ("TimeoutStopSec", "-1"),
        ("KillSignal", "int32 99999999999"),
        ("SendSIGHUP", "yes"),
        ("After", "'a.service'"),
        ("After", "['a', b]"),
    ],
)
def test_annotations_refused(name: str, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        unit_annotations.properties({unit_annotations.PREFIX + name: text})
    assert caught.value.pointer == f"/annotations/{unit_annotations.PREFIX}{name}"


@given(st.text())
def test_any_text_is_a_value_or_refused(text: str) -> None:
    for name in unit_annotations.ALLOWED:
        try:
            unit_annotations.properties({unit_annotations.PREFIX + name: text})
        except SpecError:
            pass
