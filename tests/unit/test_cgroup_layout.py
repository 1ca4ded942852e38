# SPDX-License-Identifier: Apache-2.0
"""Detection of any host's hierarchies from two texts, and where cgroupsPath leads in them."""

from __future__ import annotations

import json

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import place
from pyrunc.cgroups.layout import Hierarchy, Layout, parse
from pyrunc.errors import SpecError

V2 = "25 30 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
37 31 0:34 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
38 31 0:35 / /sys/fs/cgroup/private rw - cgroup cgroup rw,name=mine
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
OWN = "5:name=mine:/z\n4:name=systemd:/s\n3:devices:/\n2:memory:/m/n\n1:cpu,cpuacct:/c\n0::/u/v\n"


def layout_of(text: str, own: str = OWN) -> Layout:
    found = parse(text, own)
    assert found is not None
    return found


def test_pure_v2() -> None:
    found = layout_of(V2, "0::/user.slice/session\n")
    assert found.kind == "v2"
    assert found.unified is not None
    assert (found.unified.mount, found.unified.own) == ("/sys/fs/cgroup", "/user.slice/session")


def test_v2_view_over_v1_processes() -> None:
    """A cgroup2 mount at the usual place is pure v2, whatever /proc/self/cgroup lists."""
    assert layout_of(V2).kind == "v2"


def test_hybrid_in_runcs_order_with_the_unified_one_last() -> None:
    found = layout_of(HYBRID)
    assert found.kind == "hybrid"
    assert [h.names for h in found.hierarchies] == [
        ("devices",),
        ("memory",),
        ("cpu", "cpuacct"),
        ("name=systemd",),
        ("",),
    ]
    assert [h.own for h in found.hierarchies] == ["/", "/m/n", "/c", "/s", "/u/v"]


def test_v1_without_unified() -> None:
    text = "".join(line + "\n" for line in HYBRID.splitlines() if "cgroup2" not in line)
    found = layout_of(text)
    assert found.kind == "v1"
    assert found.unified is None


def test_nothing_mounted() -> None:
    assert parse("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", "0::/\n") is None


def test_covered_mounts_are_passed_over() -> None:
    assert parse(V2, "0::/\n", lambda path: "0:99") is None
    assert parse(V2, "0::/\n", lambda path: "0:22") is not None


def test_bind_mount_of_a_part_makes_the_own_path_relative() -> None:
    nested = "25 30 0:22 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert layout_of(nested, "0::/docker/abc/x\n").hierarchies[0].own == "/x"
    assert layout_of(nested, "0::/docker/abc\n").hierarchies[0].own == "/"
    assert layout_of(nested, "0::/docker/abcdef\n").hierarchies[0].own == "/docker/abcdef"


def test_paths_outside_the_cgroup_namespace_do_not_climb() -> None:
    assert layout_of(V2, "0::/../../other\n").hierarchies[0].own == "/other"


def test_escaped_mount_point() -> None:
    text = "25 30 0:22 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n"
    assert layout_of(text).hierarchies[0].mount == "/mnt/a b"


def test_round_trip_through_json() -> None:
    found = layout_of(HYBRID)
    again = Layout.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()


UNIFIED = Layout("v2", (Hierarchy(("",), "/sys/fs/cgroup", "/user.slice/me"),))
LEGACY = Layout("v1", (Hierarchy(("memory",), "/m", "/a/b"), Hierarchy(("devices",), "/d", "/")))


@pytest.mark.parametrize(
    ("asked", "unified", "legacy"),
    [
        ("/a/b", ["/a/b"], ["/a/b", "/a/b"]),
        ("//a/./b/", ["/a/b"], ["/a/b", "/a/b"]),
        ("x/y", ["/user.slice/x/y"], ["/a/b/x/y", "/x/y"]),
        (None, ["/user.slice/id"], ["/a/b/id", "/id"]),
        ("", ["/user.slice/id"], ["/a/b/id", "/id"]),
    ],
)
def test_place(asked: str | None, unified: list[str], legacy: list[str]) -> None:
    assert place.place(UNIFIED, asked, "id") == unified
    assert place.place(LEGACY, asked, "id") == legacy


@pytest.mark.parametrize(
    "asked", ["/", "//", "..", "/a/..", ".", "a\0b", "/../../a", "/a/../../../b", "../../x"]
)
def test_paths_that_name_no_cgroup(asked: str) -> None:
    with pytest.raises(SpecError) as caught:
        place.place(UNIFIED, asked, "id")
    assert caught.value.pointer == "/linux/cgroupsPath"


def test_an_absolute_path_names_no_unit() -> None:
    with pytest.raises(SpecError, match="slice:prefix:name"):
        cgroups.new_manager(UNIFIED, "/a/b", "id", "systemd")


def test_a_manager_survives_json_and_touches_nothing() -> None:
    manager = cgroups.new_manager(LEGACY, "/x", "id")
    paths = manager.cgroup.by_controller
    assert paths == {"memory": "/m/x", "devices": "/d/x"}
    data = json.loads(json.dumps(manager.to_dict()))
    again = cgroups.manager_of(data)
    assert (again.cgroup.by_controller, again.owned, again.to_dict()) == (paths, False, data)
    assert cgroups.open_cgroup(data).by_controller == paths
