# SPDX-License-Identifier: Apache-2.0
"""spec.load: whole documents, what absent members become, and what messages say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.spec import load, model, model_linux, model_resources, template
from pyrunc.spec.fields import MAX_ITEMS, Model, decode_object


def config(**changes: Any) -> dict[str, Any]:
    return {**template.default_spec(False, 0, 0, True), **changes}


def dumped(raw: object) -> bytes:
    return json.dumps(raw).encode()


def classes() -> list[type[Model]]:
    found = {
        value
        for module in (model, model_linux, model_resources)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Model) and value is not Model
    }
    return sorted(found, key=lambda cls: cls.__name__)


# --- whole documents ----------------------------------------------------------------------


def test_the_default_document_is_decoded_by_its_json_names() -> None:
    raw = config()
    spec = load.parse(dumped(raw))
    assert spec.ociVersion == "1.3.0"
    assert spec.process is not None
    assert spec.process.args == ("sh",)
    assert spec.process.noNewPrivileges is True
    assert spec.process.user == model.User(uid=0, gid=0)
    assert spec.process.oomScoreAdj is None
    assert spec.process.capabilities is not None
    assert spec.process.capabilities.ambient == ()
    assert spec.mounts[1].options == ("nosuid", "strictatime", "mode=755", "size=65536k")
    assert spec.hooks is None
    assert spec.annotations == {}
    assert spec.linux is not None
    assert spec.linux.maskedPaths[0] == "/proc/acpi"
    assert spec.linux.seccomp is None
    assert spec.linux.resources is not None
    assert spec.linux.resources.devices[0].access == "rwm"
    assert spec.linux.resources.memory is None
    assert spec.raw == raw
    assert spec.warnings == []


def test_absent_maps_are_not_shared() -> None:
    first, second = load.decode(config()), load.decode(config())
    first.annotations["x"] = "y"
    assert second.annotations == {}
    assert model.Spec(ociVersion="1.0.0").annotations == {}


def test_null_and_absent_stay_apart_from_empty_where_it_matters() -> None:
    raw = config()
    raw["hooks"] = {"poststop": [{"path": "/a"}, {"path": "/a", "env": []}]}
    raw["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "flags": []}
    spec = load.parse(dumped(raw))
    assert spec.hooks is not None
    assert [hook.env for hook in spec.hooks.poststop] == [None, ()]
    assert spec.linux is not None
    assert spec.linux.seccomp is not None
    assert spec.linux.seccomp.flags == ()
    raw["linux"]["seccomp"]["flags"] = None
    again = load.parse(dumped(raw)).linux
    assert again is not None
    assert again.seccomp is not None
    assert again.seccomp.flags is None


@pytest.mark.parametrize("seccomp", [{}, {"defaultAction": ""}, {"defaultAction": None}])
def test_seccomp_without_action_and_rules_is_no_seccomp(seccomp: dict[str, Any]) -> None:
    raw = config()
    raw["linux"]["seccomp"] = seccomp
    linux = load.parse(dumped(raw)).linux
    assert linux is not None
    assert linux.seccomp is None


def test_unknown_members_are_ignored() -> None:
    raw = config(windows={"layerFolders": 5}, somethingNew=[1])
    raw["process"]["commandLine"] = "x"
    assert load.parse(dumped(raw)) == load.parse(dumped(config()))


def test_a_process_without_user_runs_as_root() -> None:
    raw = config()
    del raw["process"]["user"]
    process = load.parse(dumped(raw)).process
    assert process is not None
    assert (process.user.uid, process.user.gid, process.user.umask) == (0, 0, None)


def test_the_keyword_class_is_class_with_an_underscore() -> None:
    raw = {"class": "IOPRIO_CLASS_BE", "priority": 3}
    made = decode_object(model.IOPriority, raw)
    assert (made.class_, made.priority) == ("IOPRIO_CLASS_BE", 3)


def at(raw: Any, pointer: str, value: object) -> Any:
    """The document with another value at a pointer."""
    *path, last = [part.replace("~1", "/") for part in pointer.split("/")[1:]]
    place = raw
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return raw


MESSAGES = [
    ("/process/args", "sh", 'must be a list of strings, not a string ("sh") (write ["sh"])'),
    ("/process/args/0", 7, "must be a string, not an integer (7) (put it in quotes)"),
    ("/process/args/0", "a\0b", "contains a NUL byte, which no path, name or variable can hold"),
    ("/process/args/0", None, "must be a string, not null"),
    (
        "/process/user/uid",
        "0",
        'must be an integer from 0 to 4294967295, not a string ("0") (write it without quotes)',
    ),
    (
        "/process/user/uid",
        1.0,
        "must be an integer from 0 to 4294967295, not a fraction (1.0) (write 1)",
    ),
    (
        "/process/user/uid",
        True,
        "must be an integer from 0 to 4294967295, not a boolean (true)",
    ),
    ("/process/user/uid", -1, "must be an integer from 0 to 4294967295, not -1"),
    (
        "/process/noNewPrivileges",
        "true",
        'must be true or false, not a string ("true") (write it without quotes)',
    ),
    (
        "/process/noNewprivileges",
        True,
        'is "noNewPrivileges" a second time (keep one of the two)',
    ),
    ("/mounts/2", "x", 'must be an object, not a string ("x")'),
    ("/mounts/2/destination", None, "is required and must be a string"),
    ("/linux/sysctl/a~1b", 5, "must be a string, not an integer (5) (put it in quotes)"),
    ("/linux/namespaces", {"type": "pid"}, "must be a list, not an object"),
    (
        "/process/user/uid",
        float(2**53),
        "must be an integer from 0 to 4294967295, not a fraction (9007199254740992.0)",
    ),
    ("/process/user/uid", 1 << 80, "must be an integer from 0 to 4294967295, not a huge number"),
    (
        "/process/args",
        "a" * 39,
        f'must be a list of strings, not a string ("{"a" * 39}") (write ["{"a" * 39}"])',
    ),
    ("/process/args", "a" * 40, f'must be a list of strings, not a string ("{"a" * 40}")'),
    ("/process/args", "a" * 41, f'must be a list of strings, not a string ("{"a" * 40}...")'),
    ("/hostname", "a" * 50, ""),
]


@pytest.mark.parametrize(("pointer", "value", "message"), MESSAGES)
def test_the_message_names_pointer_fault_and_remedy(
    pointer: str, value: object, message: str
) -> None:
    raw = at(config(), pointer, value)
    if not message:
        assert load.decode(raw).hostname == value
        return
    with pytest.raises(SpecError) as caught:
        load.decode(raw, "other.json")
    assert str(caught.value) == f"other.json: {pointer}: {message}"
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"null", "config.json: config cannot be null"),
        (b"[]", "config.json: must be an object, not a list"),
        (b"{}", "config.json: /ociVersion: is required and must be a string"),
        (b'{"OCIVERSION": 1}', "config.json: /ociVersion: must be a string, not an integer (1) "
         "(put it in quotes)"),
    ],
)  # fmt: skip
def test_documents_that_are_no_config(data: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load.parse(data)
    assert str(caught.value) == message


def test_long_lists_are_refused() -> None:
    assert load.decode(at(config(), "/process/args", ["x"] * MAX_ITEMS)).process is not None
    raw = at(config(), "/process/args", ["x"] * (MAX_ITEMS + 1))
    with pytest.raises(SpecError, match="has 200001 items, more than the 200000") as caught:
        load.decode(raw)
    assert caught.value.pointer == "/process/args"


def test_keys_of_a_library_callers_dict_must_be_strings() -> None:
    with pytest.raises(SpecError, match=r"member names must be strings, not an integer \(5\)"):
        load.decode({**config(), 5: 1})


def test_messages_are_one_line() -> None:
    with pytest.raises(SpecError) as caught:
        load.decode(at(config(), "/process/user/uid", "a\nlevel=error"))
    assert "\n" not in str(caught.value)
    assert "a\\nlevel=error" in str(caught.value)


# --- other documents ----------------------------------------------------------------------


def test_a_process_document_has_pointers_of_its_own() -> None:
    warnings: list[str] = []
    raw = {"args": ["a"], "cwd": "/", "capabilities": {"bounding": ["CAP_FLY"]}}
    assert load.decode_process(raw, "p.json", warnings).cwd == "/"
    assert warnings == ['/capabilities: unknown capability "CAP_FLY" ignored']
    with pytest.raises(SpecError) as caught:
        load.decode_process({"args": [], "cwd": "/"}, "p.json")
    assert str(caught.value) == "p.json: /args: args must not be empty"
    with pytest.raises(SpecError) as caught:
        load.decode_process({"args": ["a"], "cwd": 1}, "p.json")
    assert caught.value.pointer == "/cwd"
    assert str(caught.value).startswith("p.json: ")


def test_a_resources_document_has_pointers_of_its_own() -> None:
    resources = load.decode_resources({"memory": {"limit": 5}, "pids": {"limit": -1}})
    assert resources.memory is not None
    assert (resources.memory.limit, resources.memory.swap) == (5, None)
    with pytest.raises(SpecError) as caught:
        load.decode_resources({"memory": {"swappiness": 101}})
    assert str(caught.value) == (
        "resources.json: /memory/swappiness: must be from 0 to 100, not 101"
    )
