# SPDX-License-Identifier: Apache-2.0
"""spec.check: every rule about the document, its process, mounts and hooks."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.spec import load
from tests.unit.test_spec_load import at, config, dumped


def refusal(*changes: tuple[str, object]) -> SpecError:
    """The error that the default document raises after these changes."""
    raw = config()
    for pointer, value in changes:
        at(raw, pointer, value)
    with pytest.raises(SpecError) as caught:
        load.parse(dumped(raw))
    return caught.value


def warnings(*changes: tuple[str, object]) -> list[str]:
    """The warnings about the default document after these changes, which must be valid."""
    raw = config()
    for pointer, value in changes:
        at(raw, pointer, value)
    return load.parse(dumped(raw)).warnings


NOFILE = {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}
MAP = [{"containerID": 0, "hostID": 1, "size": 1}]
OTHER = {"policy": "SCHED_OTHER"}

BROKEN: list[tuple[str, object, str, str]] = [
    # changed member, its value, where the error points, message
    ("/ociVersion", "invalid", "", '"invalid" is not a version of the specification'),
    ("/ociVersion", "1..0", "", '"1..0" is not a version'),
    ("/ociVersion", "v1.0.0", "", '"v1.0.0" is not a version'),
    ("/ociVersion", "", "", '"" is not a version'),
    ("/ociVersion", "2.0.0", "", 'version "2.0.0" is not supported, only 1.x is'),
    ("/process/noNewprivileges", True, "", 'is "noNewPrivileges" a second time'),
    ("/process", None, "", "process property must not be empty"),
    ("/process/args", [], "", "args must not be empty"),
    ("/process/args", None, "", "args must not be empty"),
    ("/process/cwd", "", "", "Cwd property must not be empty"),
    ("/process/cwd", None, "", "Cwd property must not be empty"),
    ("/process/cwd", "tmp", "", "Cwd must be an absolute path"),
    ("/process/env/1", "TERM", "", 'has no "="'),
    ("/process/env/1", "", "", 'has no "="'),
    ("/process/env/1", "=x", "", 'has no name before the "="'),
    ("/process/env", ["A=1"] * 65537, "", "65537 variables, at most 65536 are allowed"),
    ("/process/args/0", "x" * (6 << 20), "/process/args", "the kernel takes 6291456 at most"),
    ("/process/user/additionalGids", [1] * 65537, "", "65537 groups, the kernel takes 65536"),
    ("/process/rlimits/0/type", "RLIMIT_FUN", "", 'unknown resource limit "RLIMIT_FUN"'),
    ("/process/rlimits/0/soft", 1025, "", "the soft limit 1025 is above the hard limit 1024"),
    ("/process/rlimits", [NOFILE, NOFILE], "/process/rlimits/1/type", "RLIMIT_NOFILE is set twice"),
    ("/process/oomScoreAdj", 1001, "", "must be from -1000 to 1000, not 1001"),
    ("/process/oomScoreAdj", -1001, "", "must be from -1000 to 1000, not -1001"),
    ("/process/scheduler", {"policy": "SCHED_X"}, "/process/scheduler/policy", 'policy "SCHED_X"'),
    ("/process/scheduler", {**OTHER, "nice": 20}, "/process/scheduler/nice", "from -20 to 19"),
    ("/process/scheduler", {**OTHER, "nice": -21}, "/process/scheduler/nice", "from -20 to 19"),
    ("/process/scheduler", {**OTHER, "priority": 1}, "/process/scheduler/priority",
     "only SCHED_FIFO and SCHED_RR have a priority, not SCHED_OTHER"),
    ("/process/scheduler", {**OTHER, "flags": ["X"]}, "/process/scheduler/flags/0", 'flag "X"'),
    ("/process/scheduler", {**OTHER, "runtime": 1}, "/process/scheduler/runtime",
     "only SCHED_DEADLINE has a runtime"),
    ("/process/scheduler", {**OTHER, "deadline": 1}, "/process/scheduler/deadline",
     "only SCHED_DEADLINE has a deadline"),
    ("/process/scheduler", {**OTHER, "period": 1}, "/process/scheduler/period",
     "only SCHED_DEADLINE has a period"),
    ("/process/ioPriority", {"class": "BE", "priority": 0}, "/process/ioPriority/class", '"BE"'),
    ("/process/ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8},
     "/process/ioPriority/priority", "must be from 0 to 7, not 8"),
    ("/root", None, "", "root property must not be empty"),
    ("/root/path", "", "", "must name the root filesystem's directory"),
    ("/mounts/0/destination", "", "", "must not be empty"),
    *[
        ("/mounts/0/destination", root, "", f'"{root}" is the root filesystem itself')
        for root in ("/", "//", "/.", ".", "..", "/..", "/a/..", "a/../", "///a/../../")
    ],
    ("/mounts/0/uidMappings", MAP, "/mounts/0", "must be given both, or neither"),
    ("/mounts/0/gidMappings", MAP, "/mounts/0", "must be given both, or neither"),
    ("/mounts", [{"destination": "/a"}] * 10_001, "", "10001 mounts, at most 10000 are allowed"),
    ("/hooks", {"poststop": [{"path": "a"}]}, "/hooks/poststop/0/path",
     'the path of a hook must be absolute, not "a"'),
    ("/hooks", {"prestart": [{"path": "/a"}, {"path": ""}]}, "/hooks/prestart/1/path",
     "the path of a hook must be absolute"),
    ("/hooks", {"createRuntime": [{"path": "/a", "timeout": 0}]}, "/hooks/createRuntime/0/timeout",
     "must be greater than 0 seconds, not 0"),
    ("/hooks", {"poststart": [{"path": "/a", "timeout": -1}]}, "/hooks/poststart/0/timeout",
     "must be greater than 0 seconds, not -1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "value", "pointer", "message"),
    BROKEN,
    ids=[f"{row[0]}={str(row[1])[:40]}" for row in BROKEN],
)
def test_every_broken_rule_is_named_where_it_is_broken(
    changed: str, value: object, pointer: str, message: str
) -> None:
    error = refusal((changed, value))
    assert error.pointer == (pointer or changed)
    assert message in error.message
    assert str(error).startswith(f"config.json: {error.pointer}: ")


@pytest.mark.parametrize("name", ["createContainer", "startContainer"])
def test_every_hook_list_is_checked(name: str) -> None:
    assert refusal(("/hooks", {name: [{"path": "x"}]})).pointer == f"/hooks/{name}/0/path"


@pytest.mark.parametrize("name", ["hostname", "domainname"])
def test_names_need_a_uts_namespace(name: str) -> None:
    without = [{"type": "mount"}]
    changes = [("/hostname", ""), ("/linux/namespaces", without), (f"/{name}", "x")]
    error = refusal(*changes)
    assert error.pointer == f"/{name}"
    assert error.message == f"the {name} of the host would change: there is no uts namespace"
    assert error.hint == 'add {"type": "uts"} to /linux/namespaces'
    # An empty name is what Go writes for an absent one.
    assert warnings(*changes[:2]) == []
    assert warnings((f"/{name}", "x")) == []


def test_a_document_without_linux_has_no_namespaces() -> None:
    assert refusal(("/linux", None)).pointer == "/hostname"
    assert warnings(("/linux", None), ("/hostname", None)) == []


def test_mount_mappings_obey_the_rules_of_maps() -> None:
    empty = [{"containerID": 0, "hostID": 1, "size": 0}]
    for bad, other in (("uidMappings", "gidMappings"), ("gidMappings", "uidMappings")):
        error = refusal((f"/mounts/0/{bad}", empty), (f"/mounts/0/{other}", MAP))
        assert error.pointer == f"/mounts/0/{bad}/0/size"
        assert error.message == "must be at least 1"


ENV_BYTES = sum(map(len, config()["process"]["env"]))
GOOD: list[tuple[str, object]] = [
    ("/ociVersion", "1.0.2-dev"),
    ("/ociVersion", "1.99.0+build.5"),
    ("/process/env", ["A=", "B==", "C=a=b", "A=again"]),
    ("/process/user/umask", 0o777),
    ("/process/oomScoreAdj", -1000),
    ("/process/oomScoreAdj", 1000),
    ("/process/rlimits", [{"type": "RLIMIT_AS", "soft": 2**64 - 1, "hard": 2**64 - 1}]),
    ("/process/scheduler", {"policy": "SCHED_FIFO", "priority": 5, "nice": 50}),
    ("/process/scheduler", {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}),
    ("/process/scheduler", {"policy": "SCHED_BATCH", "nice": -20, "flags": ["SCHED_FLAG_RECLAIM"]}),
    ("/process/ioPriority", {"class": "IOPRIO_CLASS_IDLE", "priority": 0}),
    ("/mounts/0/destination", "/..a"),
    ("/hooks", {"poststop": [{"path": "/a", "timeout": 1}]}),
    ("/annotations", {"a.b": ""}),
    ("/mounts", [{"destination": "/a"}] * 10_000),
    # With the two variables of the default document, 6 MiB in all.
    ("/process/args/0", "x" * ((6 << 20) - ENV_BYTES)),
    ("/process/user/additionalGids", [1] * 65536),
]


@pytest.mark.parametrize(
    ("changed", "value"), GOOD, ids=[f"{row[0]}={str(row[1])[:40]}" for row in GOOD]
)
def test_values_at_the_edge_of_a_rule_are_taken(changed: str, value: object) -> None:
    assert warnings((changed, value)) == []


ODD: list[tuple[str, object, str]] = [
    ("/ociVersion", "1.0", '/ociVersion: "1.0" is read as 1.x'),
    ("/ociVersion", "0.5.0-dev", '/ociVersion: "0.5.0-dev" is read as 1.x'),
    ("/process/user/umask", 0o1022, "/process/user/umask: 0o1022 is taken for 0o22"),
    ("/process/ioPriority", {"class": "IOPRIO_CLASS_BE"},
     "/process/ioPriority: has no priority, which counts as 0"),
    ("/annotations", {"": "x"}, "/annotations: has a member with an empty name"),
    ("/annotations", {"a": None}, '/annotations/a: null is taken for ""'),
    ("/mounts/1/options", ["bind", "mode=755"],
     '/mounts/1/options/1: "mode=755" does nothing on a bind mount'),
    ("/process/noNewPriviledges", True,
     '/process/noNewPriviledges: unknown and ignored; is it "noNewPrivileges"?'),
    ("/root/read_only", True, '/root/read_only: unknown and ignored; is it "readonly"?'),
    ("/linux/maskedPath", [], '/linux/maskedPath: unknown and ignored; is it "maskedPaths"?'),
    ("/linux/resources/pid", {}, '/linux/resources/pid: unknown and ignored; is it "pids"?'),
    ("/linux/resources/pids", {"limt": 5},
     '/linux/resources/pids/limt: unknown and ignored; is it "limit"?'),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "value", "warning"), ODD, ids=[row[2][:50] for row in ODD])
def test_what_others_take_is_taken_with_a_warning(
    changed: str, value: object, warning: str
) -> None:
    assert warnings((changed, value)) == [warning]


def test_a_name_in_another_case_counts() -> None:
    raw = config()
    raw["Linux"] = raw.pop("linux")
    raw["Linux"]["Resources"] = {"PIDS": {"Limit": 7}}
    raw["Linux"].pop("resources")
    spec = load.parse(dumped(raw))
    assert spec.linux is not None
    assert spec.linux.resources is not None
    assert spec.linux.resources.pids is not None
    assert spec.linux.resources.pids.limit == 7
    assert spec.raw["linux"]["resources"] == {"pids": {"limit": 7}}
    assert [line.partition(":")[0] for line in spec.warnings] == [
        "/Linux", "/linux/Resources", "/linux/resources/PIDS", "/linux/resources/pids/Limit",
    ]  # fmt: skip


def test_two_names_of_a_map_may_differ_in_case_only() -> None:
    labels = {"Maintainer": "a", "maintainer": "b"}
    assert warnings(("/annotations", labels), ("/unknownThing", labels)) == []


def test_a_key_twice_is_refused_where_it_counts_only() -> None:
    text = dumped(config()).decode()
    spec = load.parse(f'{{"x": {{"a": 1, "a": 2}},{text[1:]}'.encode())
    assert spec.warnings == []
    for name, pointer in (("annotations", "/annotations/a"), ("hooks", "/hooks/a")):
        document = f'{text[:-1]}, "{name}": {{"a": "1", "a": "2"}}}}'.encode()
        with pytest.raises(SpecError) as caught:
            load.parse(document)
        assert caught.value.pointer == pointer
        assert caught.value.message == "stands twice in one object"
    twice = text.replace('"cwd":', '"cwd": "/", "cwd":').encode()
    with pytest.raises(SpecError) as caught:
        load.parse(twice)
    assert caught.value.pointer == "/process/cwd"


@pytest.mark.parametrize(
    ("option", "likely"),
    [
        ("readonly", "ro"), ("read-only", "ro"), ("Read_Only", "ro"), ("RO", "ro"),
        ("nosiud", "nosuid"), ("noexe", "noexec"), ("no-exec", "noexec"), ("nodevs", "nodev"),
        ("rslav", "rslave"), ("recursive", "rbind"),
        ("ro=true", "ro"), ("readonly=1", "ro"), ("ro,nosuid", "ro"), ("readonly,noexec", "ro"),
    ],
)  # fmt: skip
def test_the_near_miss_of_a_bind_option_is_refused(option: str, likely: str) -> None:
    mount = {"destination": "/a", "source": "/b", "options": ["rbind", option]}
    error = refusal(("/mounts/0", mount))
    assert error.pointer == "/mounts/0/options/1"
    assert error.message == f'"{option}" does nothing on a bind mount'
    assert error.hint == f"write {likely}"
    del mount["options"]
    assert warnings(("/mounts/0", {**mount, "type": "tmpfs", "options": [option]})) == []


@pytest.mark.parametrize("option", ["mode=755", "size=65536k", "x-a.b", "uid=0", "nfsvers=4", "z"])
def test_a_filesystems_option_on_a_bind_is_a_warning(option: str) -> None:
    mount = {"destination": "/a", "source": "/b", "options": ["ro", option, "bind"]}
    assert warnings(("/mounts/0", mount)) == [
        f'/mounts/0/options/1: "{option}" does nothing on a bind mount'
    ]


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("/process/env/1", SECRET),
        ("/process/env/1", f"={SECRET}"),
        ("/process/env", f"PASSWORD={SECRET}"),
        ("/process/env/0", {SECRET: 1}),
        ("/process/env/0", f"A={SECRET}\0"),
        ("/annotations", {"password": [SECRET]}),
        ("/annotations", SECRET),
        ("/annotations", {"password": f"{SECRET}\0"}),
        ("/hooks", {"prestart": [{"path": "/a", "env": SECRET}]}),
    ],
)
def test_values_that_may_be_secrets_are_not_in_errors(changed: str, value: object) -> None:
    error = refusal((changed, value))
    assert error.pointer.startswith(changed)
    assert SECRET not in str(error)


def test_numbers_that_may_be_secrets_are_not_in_errors() -> None:
    for changed, value in (("/process/env/0", 31337), ("/annotations", {"pin": 31337})):
        assert "31337" not in str(refusal((changed, value)))


def test_what_is_odd_but_allowed_is_a_warning() -> None:
    found = warnings(
        ("/process/capabilities/bounding/1", "CAP_FLY"),
        ("/process/capabilities/ambient", ["cap_kill"]),
        ("/mounts/0/destination", "proc"),
    )
    assert found == [
        '/process/capabilities: unknown capability "CAP_FLY" ignored',
        '/process/capabilities: unknown capability "cap_kill" ignored',
        '/mounts/0/destination: "proc" is relative, which is deprecated; it is taken relative to /',
    ]


def test_errors_name_the_document_that_was_read() -> None:
    raw: dict[str, Any] = config(process=None)
    with pytest.raises(SpecError) as caught:
        load.parse(dumped(raw), "saved.json")
    assert str(caught.value) == "saved.json: /process: process property must not be empty"
