# SPDX-License-Identifier: Apache-2.0
"""spec.check_linux, check_resources and check_seccomp: every rule under /linux."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import SpecError
from pyrunc.spec.check_linux import check_mappings
from pyrunc.spec.model_linux import IDMapping
from pyrunc.spec.sysctl import sysctl_path
from tests.unit.test_spec_check import refusal, warnings


def idmap(container: int, host: int, size: int) -> dict[str, int]:
    return {"containerID": container, "hostID": host, "size": size}


def spaces(*types: str) -> list[dict[str, str]]:
    return [{"type": name} for name in ("uts", "mount", *types)]


CHAR = {"type": "c", "path": "/dev/x", "major": 1, "minor": 3}
RULE = {"allow": True, "access": "r"}
LOUD = {"names": ["read"], "action": "SCMP_ACT_LOG"}
ARG = {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}


def without(raw: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key != name}


def seccomp(**members: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", **members}


def rule(**members: Any) -> dict[str, Any]:
    return seccomp(syscalls=[{**LOUD, **members}])


LOG = "SCMP_ACT_LOG"
NOTIFY = "SCMP_ACT_NOTIFY"
BROKEN: list[tuple[str, object, str, str]] = [
    # member of /linux, its value, where below it the error points, message
    ("namespaces", spaces("net"), "/2/type", 'unknown namespace type "net"'),
    ("namespaces", spaces("pid", "pid"), "/3/type", 'the namespace "pid" is listed twice'),
    ("namespaces", [{"type": "uts", "path": "ns/uts"}], "/0/path", "must be an absolute path"),
    ("rootfsPropagation", "sharded", "", 'unknown propagation "sharded"'),
    ("maskedPaths", ["/a"] * 4097, "", "4097 paths, at most 4096 are allowed"),
    ("readonlyPaths", ["/a"] * 4097, "", "4097 paths, at most 4096 are allowed"),
    ("timeOffsets", {"monotonic": {"secs": 1}}, "", "there is no time namespace"),
    ("devices", [{**CHAR, "type": "d"}], "/0/type", 'unknown device type "d"'),
    ("devices", [{**CHAR, "path": "dev/x"}], "/0/path", 'must be an absolute path, not "dev/x"'),
    ("devices", [without(CHAR, "major")], "/0/major", 'is required for a device of type "c"'),
    ("devices", [without(CHAR, "minor")], "/0/minor", 'is required for a device of type "c"'),
    ("devices", [{**CHAR, "major": -1}], "/0/major", "is not a valid device number: -1"),
    ("devices", [{**CHAR, "minor": 2**32}], "/0/minor", "is not a valid device number: 4294967296"),
    ("devices", [CHAR] * 4097, "", "4097 devices, at most 4096 are allowed"),
    ("personality", {"domain": "BSD"}, "/domain", 'unknown execution domain "BSD"'),
    ("memoryPolicy", {"mode": "BIND"}, "/mode", 'unknown memory policy "BIND"'),
    ("memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]}, "/flags/0", 'flag "X"'),
    ("memoryPolicy", {"mode": "MPOL_BIND"}, "/nodes", "MPOL_BIND needs at least one node"),
    ("memoryPolicy", {"mode": "MPOL_LOCAL", "nodes": "0"}, "/nodes", "MPOL_LOCAL takes no nodes"),
    *[
        ("intelRdt", {"closID": name}, "/closID", f'"{name}" is not the name of one directory')
        for name in (".", "..", "a/b", "/a")
    ],
    ("intelRdt", {"l3CacheSchema": "a\nb"}, "/l3CacheSchema", "must be one line"),
    ("intelRdt", {"memBwSchema": "MB:\n"}, "/memBwSchema", "must be one line"),
    ("intelRdt", {"memBwSchema": "L3:0"}, "/memBwSchema", 'must start with "MB:"'),
    ("intelRdt", {"schemata": ["a", "b\n"]}, "/schemata/1", "must be one line"),
    # resources
    ("resources", {"devices": [{**RULE, "type": "p"}]}, "/devices/0/type", 'device type "p"'),
    ("resources", {"devices": [{"allow": True}]}, "/devices/0/access", "must not be empty"),
    ("resources", {"devices": [{**RULE, "access": ""}]}, "/devices/0/access", "must not be empty"),
    ("resources", {"devices": [{**RULE, "access": "xa"}]}, "/devices/0/access", "none of the"),
    ("resources", {"devices": [{**RULE, "major": -2}]}, "/devices/0/major", "number: -2"),
    ("resources", {"devices": [{**RULE, "minor": 2**32}]}, "/devices/0/minor", "number: 429"),
    ("resources", {"devices": [RULE] * 4097}, "/devices", "4097 rules, at most 4096 are allowed"),
    *[
        ("resources", {"memory": {name: -2}}, f"/memory/{name}", "must not be -2")
        for name in ("limit", "reservation", "swap", "kernel", "kernelTCP")
    ],
    ("resources", {"memory": {"swappiness": 101}}, "/memory/swappiness", "from 0 to 100, not 101"),
    ("resources", {"cpu": {"idle": 2}}, "/cpu/idle", "must be 0 or 1, not 2"),
    ("resources", {"pids": {"limit": -2}}, "/pids/limit", "must not be -2"),
    ("resources", {"blockIO": {"weight": 9}}, "/blockIO/weight", "from 10 to 1000, not 9"),
    ("resources", {"blockIO": {"leafWeight": 1001}}, "/blockIO/leafWeight", "from 10 to 1000"),
    ("resources", {"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}},
     "/blockIO/weightDevice/0", "needs weight, leafWeight or both"),
    ("resources", {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 5}]}},
     "/blockIO/weightDevice/0/weight", "from 10 to 1000, not 5"),
    ("resources", {"blockIO": {"weightDevice": [{"major": -8, "minor": 0, "weight": 10}]}},
     "/blockIO/weightDevice/0/major", "is not a valid device number: -8"),
    *[
        ("resources", {"blockIO": {name: [{"major": 8, "minor": -1, "rate": 1}]}},
         f"/blockIO/{name}/0/minor", "is not a valid device number: -1")
        for name in ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice",
                     "throttleWriteIOPSDevice")
    ],
    *[
        ("resources", {"hugepageLimits": [{"pageSize": size, "limit": 1}]},
         "/hugepageLimits/0/pageSize", f'"{size}" is not the size of a huge page')
        for size in ("2M", "MB", "02MB", "2mB", "2MB ", "-2MB", "\u00b2MB", "")
    ],
    ("resources", {"network": {"priorities": [{"name": "", "priority": 1}]}},
     "/network/priorities/0/name", "must not be empty"),
    *[
        ("resources", {"network": {"priorities": [{"name": name, "priority": 1}]}},
         "/network/priorities/0/name", "is not the name of an interface")
        for name in ("lo 5", "lo\n", "a/b", " lo")
    ],
    *[
        ("resources", {"rdma": {name: {"hcaHandles": 1}}}, f"/rdma/{name.replace('/', '~1')}",
         "is not the name of an RDMA device")
        for name in ("mlx hca_handle=1", "mlx\n", "../mlx")
    ],
    ("resources", {"rdma": {"": {"hcaHandles": 1}}}, "/rdma/", "must not be empty"),
    ("resources", {"rdma": {"a/b": {}}}, "/rdma/a~1b", "needs hcaHandles, hcaObjects or both"),
    ("resources", {"unified": {"memory/max": "1"}}, "/unified/memory~1max", "one cgroup file"),
    *[
        ("resources", {"unified": {name: "1"}}, f"/unified/{name}", "does not start with a contr")
        for name in ("memory", ".max", "memory.", "")
    ],
    # seccomp
    ("seccomp", {"syscalls": [LOUD]}, "/defaultAction", "must not be empty when there are rules"),
    ("seccomp", {"defaultAction": "ALLOW"}, "/defaultAction", 'unknown seccomp action "ALLOW"'),
    ("seccomp", {"defaultAction": NOTIFY}, "/defaultAction", "cannot be the default action"),
    ("seccomp", {"defaultAction": LOG, "defaultErrnoRet": 1}, "/defaultErrnoRet",
     "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE use it, not SCMP_ACT_LOG"),
    ("seccomp", seccomp(defaultErrnoRet=65536), "/defaultErrnoRet", "at most 65535, not 65536"),
    ("seccomp", seccomp(architectures=["X86"]), "/architectures/0", 'architecture "X86"'),
    ("seccomp", seccomp(flags=["TSYNC"]), "/flags/0", 'unknown seccomp flag "TSYNC"'),
    ("seccomp", rule(names=["a", ""]), "/syscalls/0/names/1", "must not be empty"),
    ("seccomp", rule(action="LOG"), "/syscalls/0/action", 'unknown seccomp action "LOG"'),
    ("seccomp", rule(errnoRet=1), "/syscalls/0/errnoRet", "not SCMP_ACT_LOG"),
    ("seccomp", rule(args=[{**ARG, "index": 6}]), "/syscalls/0/args/0/index", "0 to 5, not 6"),
    ("seccomp", rule(args=[{**ARG, "op": "=="}]), "/syscalls/0/args/0/op", 'operator "=="'),
    ("seccomp", rule(action=NOTIFY, names=["a", "write"]), "/syscalls/0/names/1", 'for "write"'),
    ("seccomp", rule(action=NOTIFY), "/listenerPath", "is required by SCMP_ACT_NOTIFY"),
    ("seccomp", seccomp(listenerMetadata="x"), "/listenerMetadata", "without listenerPath"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "pointer", "message"),
    BROKEN,
    ids=[f"{row[0]}{row[2]}={str(row[1])[:40]}" for row in BROKEN],
)
def test_every_broken_rule_is_named_where_it_is_broken(
    name: str, value: object, pointer: str, message: str
) -> None:
    error = refusal((f"/linux/{name}", value))
    assert error.pointer == f"/linux/{name}{pointer}"
    assert message in error.message


GOOD: list[tuple[str, object]] = [
    ("namespaces", [*spaces("user"), {"type": "pid", "path": ""}]),
    ("rootfsPropagation", "rslave"),
    ("rootfsPropagation", ""),
    ("devices", [{"type": "p", "path": "/fifo"}, {**CHAR, "fileMode": 0o20666}]),
    ("memoryPolicy", {"mode": "MPOL_PREFERRED", "flags": ["MPOL_F_STATIC_NODES"]}),
    ("intelRdt", {"closID": "/", "memBwSchema": "MB:0=50"}),
    ("resources", {"devices": [{**RULE, "type": "", "major": -1}], "pids": {"limit": 0}}),
    ("resources", {"memory": {"limit": -1, "swappiness": 100}, "cpu": {"idle": 1}}),
    ("resources", {"blockIO": {"weight": 0, "weightDevice": []}}),
    ("resources", {"hugepageLimits": [{"pageSize": "64KB", "limit": 2**64 - 1}]}),
    ("resources", {"rdma": {"mlx": {"hcaHandles": 0}}, "unified": {"memory.high": "1"}}),
    ("seccomp", seccomp(defaultErrnoRet=38, architectures=["SCMP_ARCH_X86"], syscalls=[LOUD])),
    ("seccomp", {**rule(action=NOTIFY), "listenerPath": "/s", "listenerMetadata": "x"}),
    ("seccomp", rule(args=[{**ARG, "index": 5, "value": 2**64 - 1}])),
    ("seccomp", seccomp(defaultErrnoRet=65535)),
    ("devices", [CHAR] * 4096),
    ("maskedPaths", ["/a"] * 4096),
    ("resources", {"devices": [RULE] * 4096}),
]


@pytest.mark.parametrize(("name", "value"), GOOD, ids=[f"{n}={str(v)[:50]}" for n, v in GOOD])
def test_values_at_the_edge_of_a_rule_are_taken(name: str, value: object) -> None:
    maps = [idmap(0, 1000, 1)]
    user = name == "namespaces"
    extra = [("/linux/uidMappings", maps), ("/linux/gidMappings", maps)] if user else []
    assert warnings((f"/linux/{name}", value), *extra) == []


def test_what_is_odd_but_allowed_is_a_warning() -> None:
    flag = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
    found = warnings(
        ("/linux/personality", {"domain": "LINUX32", "flags": ["X"]}),
        ("/linux/seccomp", seccomp(flags=[flag])),
    )
    assert found == [
        f"/linux/seccomp/flags: {flag} does nothing without SCMP_ACT_NOTIFY",
        "/linux/personality/flags: the specification defines no flags; ignored",
    ]


ODD: list[tuple[str, object, str]] = [
    ("maskedPaths", ["/a", "b"], '/1: "b" is relative; it is taken relative to /'),
    ("readonlyPaths", ["", "/a"], '/0: "" is ignored'),
    ("uidMappings", [idmap(0, 1, 1)], ": ignored, there is no user namespace to set them on"),
    ("gidMappings", [idmap(0, 1, 1)], ": ignored, there is no user namespace to set them on"),
    ("seccomp", rule(names=[]), "/syscalls/0/names: a rule without names does nothing"),
    ("resources", {"devices": [{**RULE, "access": "rwa"}]},
     '/devices/0/access: "a" is ignored, there are only r, w and m'),
    ("resources", {"devices": [{"access": "rwm"}]},
     "/devices/0: has no `allow`, which counts as false"),
    ("resources", {"unified": {"memory.high": None}}, '/unified/memory.high: null is taken for ""'),
    ("resources", {"hugepageLimits": [{"pagesize": "2MB", "limit": 1}]},
     "/hugepageLimits/0/pagesize: taken for \"pageSize\"; the specification's names have case"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "warning"), ODD, ids=[row[2][:50] for row in ODD])
def test_what_others_take_is_taken_with_a_warning(name: str, value: object, warning: str) -> None:
    found = warnings((f"/linux/{name}", value))
    assert len(found) == 1
    assert found[0].startswith(f"/linux/{name}{warning}")


def test_pids_without_a_limit_have_none() -> None:
    for value in ({}, {"limit": None}, {"limit": 0}):
        assert warnings(("/linux/resources", {"pids": value})) == []


def test_old_dockers_swappiness_is_not_set() -> None:
    assert warnings(("/linux/resources", {"memory": {"swappiness": 2**64 - 1}})) == []


@pytest.mark.parametrize("name", ["maskedPaths", "readonlyPaths"])
def test_paths_need_a_mount_namespace(name: str) -> None:
    changes = [(f"/linux/{other}", []) for other in ("maskedPaths", "readonlyPaths")]
    changes += [("/linux/namespaces", [{"type": "uts"}]), (f"/linux/{name}", ["/a"])]
    error = refusal(*changes)
    assert error.pointer == f"/linux/{name}"
    assert error.message == "the host's paths would change: there is no mount namespace"


# --- id maps ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uidMappings", "gidMappings"])
def test_a_new_user_namespace_needs_both_maps(name: str) -> None:
    other = {"uidMappings": "gidMappings", "gidMappings": "uidMappings"}[name]
    error = refusal(("/linux/namespaces", spaces("user")), (f"/linux/{other}", [idmap(0, 1000, 1)]))
    assert error.pointer == f"/linux/{name}"
    assert error.message == f"a new user namespace needs {name}"


def test_a_joined_user_namespace_needs_no_maps() -> None:
    joined = [*spaces(), {"type": "user", "path": "/proc/1/ns/user"}]
    assert warnings(("/linux/namespaces", joined)) == []


MAPS = [
    ([idmap(0, 5, 0)], "/0/size", "must be at least 1"),
    ([idmap(2**32 - 1, 0, 1)], "/0/size", "end above 4294967294, the largest id"),
    ([idmap(0, 2**32 - 2, 2)], "/0/size", "end above 4294967294, the largest id"),
    ([idmap(0, 100, 10), idmap(9, 200, 1)], "/1/containerID", "overlaps the range /m/0"),
    ([idmap(50, 100, 10), idmap(0, 105, 1)], "/1/hostID", "overlaps the range /m/0"),
    ([idmap(5, 100, 10), idmap(0, 200, 6)], "/0/containerID", "overlaps the range /m/1"),
    ([idmap(i, i, 1) for i in range(341)], "", "341 ranges, the kernel takes 340 at most"),
]


def mappings(raw: list[dict[str, int]]) -> tuple[IDMapping, ...]:
    return tuple(IDMapping(**entry) for entry in raw)


@pytest.mark.parametrize(("raw", "pointer", "message"), MAPS)
def test_maps_that_the_kernel_refuses(
    raw: list[dict[str, int]], pointer: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_mappings(mappings(raw), "/m")
    assert caught.value.pointer == f"/m{pointer}"
    assert message in caught.value.message


def test_maps_that_the_kernel_takes() -> None:
    check_mappings(mappings([idmap(0, 0, 2**32 - 1)]), "/m")
    check_mappings(mappings([idmap(0, 1000, 1), idmap(1, 0, 1000), idmap(1001, 1001, 5)]), "/m")
    check_mappings(mappings([idmap(i, i, 1) for i in range(340)]), "/m")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 8)), max_size=4))
def test_ranges_overlap_exactly_when_they_share_an_id(rows: list[tuple[int, int, int]]) -> None:
    shared = any(
        set(range(a[side], a[side] + a[2])) & set(range(b[side], b[side] + b[2]))
        for index, a in enumerate(rows)
        for b in rows[:index]
        for side in (0, 1)
    )
    checked = mappings([idmap(*row) for row in rows])
    if shared:
        with pytest.raises(SpecError, match="overlaps the range"):
            check_mappings(checked, "")
    else:
        check_mappings(checked, "")


# --- time offsets -------------------------------------------------------------------------


def test_time_offsets_need_a_new_time_namespace() -> None:
    offsets = ("/linux/timeOffsets", {"boottime": {"secs": -5, "nanosecs": 999_999_999}})
    assert warnings(("/linux/namespaces", spaces("time")), offsets) == []
    joined = [*spaces(), {"type": "time", "path": "/proc/1/ns/time"}]
    error = refusal(("/linux/namespaces", joined), offsets)
    assert error.pointer == "/linux/timeOffsets"
    assert "the time namespace is joined" in error.message


@pytest.mark.parametrize(
    ("offsets", "pointer", "message"),
    [
        ({"realtime": {}}, "/realtime", 'unknown clock "realtime"'),
        ({"monotonic": {"nanosecs": 10**9}}, "/monotonic/nanosecs", "less than 1000000000"),
    ],
)
def test_time_offsets_are_checked(offsets: dict[str, Any], pointer: str, message: str) -> None:
    error = refusal(("/linux/namespaces", spaces("time")), ("/linux/timeOffsets", offsets))
    assert error.pointer == f"/linux/timeOffsets{pointer}"
    assert message in error.message


# --- sysctl -------------------------------------------------------------------------------

ALLOWED = [
    ("kernel.sem", "ipc"),
    ("kernel.shm_rmid_forced", "ipc"),
    ("fs.mqueue.msg_max", "ipc"),
    ("fs/mqueue/msg_max", "ipc"),
    ("net.ipv4.ip_forward", "network"),
    ("net/ipv4/conf/eno2.100/forwarding", "network"),
    ("net.ipv4.conf.eno2/100.forwarding", "network"),
    ("kernel.domainname", "uts"),
    ("user.max_user_namespaces", "user"),
]


@pytest.mark.parametrize(("key", "needed"), ALLOWED)
def test_a_sysctl_needs_the_namespace_that_it_belongs_to(key: str, needed: str) -> None:
    maps = [idmap(0, 1000, 1)]
    types = {"mount", needed}
    base: list[tuple[str, object]] = [("/hostname", ""), ("/linux/sysctl", {key: "1"})]
    if needed == "user":
        base += [("/linux/uidMappings", maps), ("/linux/gidMappings", maps)]
    listed = [{"type": name} for name in sorted(types)]
    assert warnings(*base, ("/linux/namespaces", listed)) == []
    error = refusal(*base[:2], ("/linux/namespaces", [{"type": "mount"}]))
    assert error.pointer == f"/linux/sysctl/{key.replace('/', '~1')}"
    assert f"would change the host: there is no {needed} namespace" in error.message
    assert error.hint == f'add {{"type": "{needed}"}} to /linux/namespaces'


REFUSED = [
    *[(key, "it would change the host") for key in (
        "kernel.panic", "vm.swappiness", "fs.file-max", "net", "user", "kernel", "kernel.semx",
        "fs.mqueuex.a", "netx.a", "kernel/sem.x", "dev.cdrom.debug",
    )],
    ("kernel.hostname", "cannot be set as a sysctl"),
    ("kernel/hostname", "cannot be set as a sysctl"),
    *[(key, "is not the name of a sysctl") for key in (
        "", ".", "/", "net..a", "net.a.", ".net.a", "net/../kernel/panic", "net/./a", "/net/a",
        "net//a", "net/a/", "net.ipv4.//.kernel", "net.a\nb",
    )],
]  # fmt: skip


@pytest.mark.parametrize(("key", "message"), REFUSED)
def test_sysctls_of_the_host_and_tricks_with_names_are_refused(key: str, message: str) -> None:
    error = refusal(
        ("/linux/namespaces", spaces("ipc", "network", "pid")), ("/linux/sysctl", {key: "1"})
    )
    assert error.pointer == f"/linux/sysctl/{key.replace('/', '~1')}"
    assert message in error.message


def test_the_same_sysctl_twice_is_refused() -> None:
    twice = {"net.ipv4.ip_forward": "1", "net/ipv4/ip_forward": "0"}
    error = refusal(("/linux/sysctl", twice))
    assert error.pointer == "/linux/sysctl/net~1ipv4~1ip_forward"
    assert error.message == 'the same sysctl as "net.ipv4.ip_forward"'


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eno2.100/x", "net/ipv4/conf/eno2.100/x"),
        ("net.ipv4.conf.eno2/100.x", "net/ipv4/conf/eno2.100/x"),
        ("single", "single"),
    ],
)
def test_sysctl_paths_follow_the_first_separator(key: str, path: str) -> None:
    assert sysctl_path(key) == path
