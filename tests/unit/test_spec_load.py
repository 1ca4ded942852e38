# SPDX-License-Identifier: Apache-2.0
"""spec.load and spec.fields: types, ranges, required members, and where a message points."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import SpecError
from pyrunc.spec import load, model, model_linux, model_resources, template
from pyrunc.spec.fields import MAX_ITEMS, Field, Model, Wrong, decode_object


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


ALL_FIELDS = [
    pytest.param(cls, name, field, id=f"{cls.__name__}.{name}")
    for cls in classes()
    for name, field in cls.FIELDS.items()
]


# --- the tables ---------------------------------------------------------------------------


def test_the_model_has_every_class() -> None:
    expected = (
        "BlockIO CPU Capabilities ConsoleSize Device DeviceRule ExecCPUAffinity Hook Hooks "
        "HugepageLimit IDMapping IOPriority IntelRdt InterfacePriority Linux Memory MemoryPolicy "
        "Mount Namespace NetDevice Network Personality Pids Process Rdma Resources Rlimit Root "
        "Scheduler Seccomp Spec Syscall SyscallArg ThrottleDevice TimeOffset User WeightDevice"
    )
    assert [cls.__name__ for cls in classes()] == expected.split()


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_annotations_slots_and_table_agree(cls: type[Model]) -> None:
    attributes = [field.attribute or name for name, field in cls.FIELDS.items()]
    extra = ["raw", "warnings"] if cls is model.Spec else []
    assert list(cls.__annotations__) == attributes + extra
    assert list(cls.__slots__) == attributes + extra  # type: ignore[call-overload]
    assert not hasattr(cls(), "__dict__")


# --- every field, every wrong type --------------------------------------------------------

ONE_OF_EACH: dict[str, object] = {
    "an object": {"x": 1},
    "a list": [[1]],
    "a string": "abc",
    "a boolean": True,
    "an integer": 1,
    "a fraction": 1.5,
}


def accepts(field: Field) -> str:
    """Which of the JSON types above this field takes."""
    for word, kind in (
        ("true or false", "a boolean"),
        ("an integer", "an integer"),
        ("a string", "a string"),
        ("a list", "a list"),
        ("an object", "an object"),
    ):
        if field.expected.startswith(word):
            return kind
    raise AssertionError(field.expected)


def valid(field: Field) -> Any:
    """The smallest valid value of a field."""
    kind = accepts(field)
    if kind == "an object" and field.make is not dict:
        assert isinstance(field.item, type)
        return smallest(field.item)
    return {"a boolean": True, "an integer": 0, "a string": "x", "a list": [], "an object": {}}[
        kind
    ]


def smallest(cls: type[Model]) -> dict[str, Any]:
    return {name: valid(field) for name, field in cls.FIELDS.items() if field.required}


def fault(cls: type[Model], raw: object) -> SpecError:
    with pytest.raises(Wrong) as caught:
        decode_object(cls, raw)
    return caught.value.error("config.json", "/base")


@pytest.mark.parametrize(("cls", "name", "field"), ALL_FIELDS)
def test_every_field_refuses_every_other_json_type(
    cls: type[Model], name: str, field: Field
) -> None:
    right = accepts(field)
    for kind, value in ONE_OF_EACH.items():
        if kind == right:
            continue
        error = fault(cls, {**smallest(cls), name: value})
        assert error.pointer == f"/base/{name}", kind
        assert error.message.startswith(f"must be {field.expected}, not {kind}"), error.message


@pytest.mark.parametrize(("cls", "name", "field"), ALL_FIELDS)
def test_every_field_takes_its_own_type_and_null_is_absent(
    cls: type[Model], name: str, field: Field
) -> None:
    made = decode_object(cls, {**smallest(cls), name: valid(field)})
    assert getattr(made, field.attribute or name) is not None
    without = {key: value for key, value in smallest(cls).items() if key != name}
    if field.required:
        for raw in (without, {**without, name: None}):
            error = fault(cls, raw)
            assert error.pointer == f"/base/{name}"
            assert error.message == f"is required and must be {field.expected}"
    else:
        absent = decode_object(cls, without)
        assert decode_object(cls, {**without, name: None}) == absent
        expected = field.absent if field.make is None else field.make()
        assert getattr(absent, field.attribute or name) == expected


@pytest.mark.parametrize(("cls", "name", "field"), ALL_FIELDS)
def test_every_name_in_another_case_is_refused(cls: type[Model], name: str, field: Field) -> None:
    raw = smallest(cls)
    raw.pop(name, None)
    wrong = name.upper() if name != name.upper() else name.lower()
    error = fault(cls, {**raw, wrong: valid(field)})
    assert error.pointer == f"/base/{wrong}"
    assert error.message == "wrong upper and lower case in this name"
    assert error.hint == f'write "{name}"'


@pytest.mark.parametrize(("cls", "name", "field"), ALL_FIELDS)
def test_every_integer_has_its_range(cls: type[Model], name: str, field: Field) -> None:
    if accepts(field) != "an integer":
        assert not field.expected.startswith("an integer")
        return
    words = field.expected.split()
    low, high = int(words[3]), int(words[5])
    for value in (low, high):
        made = decode_object(cls, {**smallest(cls), name: value})
        assert getattr(made, field.attribute or name) == value
    for value in (low - 1, high + 1, -(10**5000)):
        error = fault(cls, {**smallest(cls), name: value})
        assert error.pointer == f"/base/{name}"
        assert error.message.startswith(f"must be {field.expected}, not ")


RANGES = [
    (model.User, "uid", 0, 2**32 - 1),
    (model.Rlimit, "soft", 0, 2**64 - 1),
    (model.Scheduler, "nice", -(2**31), 2**31 - 1),
    (model_resources.Memory, "limit", -(2**63), 2**63 - 1),
    (model_resources.BlockIO, "weight", 0, 2**16 - 1),
    (model_resources.CPU, "shares", 0, 2**64 - 1),
    (model_linux.SyscallArg, "value", 0, 2**64 - 1),
]


@pytest.mark.parametrize(("cls", "name", "low", "high"), RANGES)
def test_ranges_are_those_of_the_specification(
    cls: type[Model], name: str, low: int, high: int
) -> None:
    assert cls.FIELDS[name].expected == f"an integer from {low} to {high}"


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
    assert model.Spec().annotations == {}


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
        'wrong upper and lower case in this name (write "noNewPrivileges")',
    ),
    ("/mounts/2", "x", 'must be an object, not a string ("x")'),
    ("/mounts/2/destination", None, "is required and must be a string"),
    ("/linux/sysctl/a~1b", 5, "must be a string, not an integer (5) (put it in quotes)"),
    ("/linux/namespaces", {"type": "pid"}, "must be a list, not an object"),
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
        (b'{"OCIVERSION": "1.0.0"}',
         'config.json: /OCIVERSION: wrong upper and lower case in this name (write "ociVersion")'),
    ],
)  # fmt: skip
def test_documents_that_are_no_config(data: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load.parse(data)
    assert str(caught.value) == message


def test_long_lists_are_refused() -> None:
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
    assert warnings == ['/capabilities/bounding/0: unknown capability "CAP_FLY" ignored']
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


# --- properties ---------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def generated(cls: type[Model]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose member names are right and whose values are anything or right."""
    members = {name: st.just(valid(field)) | anything for name, field in cls.FIELDS.items()}
    return st.fixed_dictionaries({}, optional=members)


@given(anything)
def test_arbitrary_json_raises_nothing_but_our_error(raw: object) -> None:
    try:
        load.parse(dumped(raw))
    except SpecError as error:
        assert "\n" not in str(error)


@given(generated(model.Spec), generated(model.Process), generated(model_linux.Linux))
def test_almost_right_documents_raise_nothing_but_our_error(
    spec: dict[str, Any], process: dict[str, Any], linux: dict[str, Any]
) -> None:
    raw = {**config(), **spec}
    raw["process"] = {**config()["process"], **process}
    raw["linux"] = {**config()["linux"], **linux}
    try:
        load.parse(dumped(raw))
    except SpecError as error:
        assert "\n" not in str(error)


names = st.text("abcdef-_.", min_size=1, max_size=8)
paths = names.map(lambda name: f"/p{name}")
good = st.fixed_dictionaries(
    {
        "ociVersion": st.sampled_from(["1.0.0", "1.0.2-dev", "1.1.0+x", "1.3.0"]),
        "root": st.fixed_dictionaries({"path": paths}, optional={"readonly": st.booleans()}),
        "process": st.fixed_dictionaries(
            {"args": st.lists(names, min_size=1, max_size=3), "cwd": paths},
            optional={
                "env": st.lists(st.tuples(names, names).map("=".join), max_size=3),
                "oomScoreAdj": st.integers(-1000, 1000),
                "noNewPrivileges": st.booleans(),
            },
        ),
        "mounts": st.lists(
            st.fixed_dictionaries(
                {"destination": paths}, optional={"options": st.lists(names), "type": names}
            ),
            max_size=3,
        ),
    },
    optional={"annotations": st.dictionaries(names, names, max_size=3)},
)


@given(good)
def test_right_documents_load_and_keep_their_values(raw: dict[str, Any]) -> None:
    spec = load.parse(dumped(raw))
    assert spec.root is not None
    assert spec.process is not None
    assert spec.root.path == raw["root"]["path"]
    assert list(spec.process.args) == raw["process"]["args"]
    assert list(spec.process.env) == raw["process"].get("env", [])
    assert [mount.destination for mount in spec.mounts] == [m["destination"] for m in raw["mounts"]]
    assert spec.annotations == raw.get("annotations", {})


# --- the base class -----------------------------------------------------------------------


def test_models_are_built_compared_and_shown_by_their_members() -> None:
    made = model.Mount(destination="/x", options=("ro",))
    assert made == decode_object(model.Mount, {"destination": "/x", "options": ["ro"]})
    assert made != model.Mount(destination="/x")
    assert made != "x"
    assert repr(made) == "Mount(destination='/x', options=('ro',))"
    with pytest.raises(TypeError, match="Mount has no member 'dst'"):
        model.Mount(dst="/x")
