# SPDX-License-Identifier: Apache-2.0
"""spec.fields and the field tables: every member of every class, and arbitrary JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import SpecError
from pyrunc.spec import load, model, model_linux, model_resources
from pyrunc.spec.fields import Field, Model, decode_object
from pyrunc.spec.wrong import Wrong
from tests.unit.test_spec_load import classes, config, dumped

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
def test_every_attribute_is_a_member(cls: type[Model]) -> None:
    attributes = [field.attribute for field in cls.FIELDS.values()]
    extra = {"Spec": ["raw", "source", "warnings"], "Seccomp": ["notifies"]}
    expected = attributes + extra.get(cls.__name__, [])
    assert list(cls.__slots__) == expected  # type: ignore[call-overload]
    assert not hasattr(decode_object(cls, smallest(cls)), "__dict__")


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
    assert getattr(made, field.attribute) is not None
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
        assert getattr(absent, field.attribute) == expected


@pytest.mark.parametrize(("cls", "name", "field"), ALL_FIELDS)
def test_every_name_in_another_case_counts_but_not_twice(
    cls: type[Model], name: str, field: Field
) -> None:
    """As Go reads it; a restriction must not get lost that way."""
    raw = smallest(cls)
    raw.pop(name, None)
    wrong = name.upper() if name != name.upper() else name.lower()
    found = decode_object(cls, {**raw, wrong: valid(field)})
    assert found == decode_object(cls, {**raw, name: valid(field)})
    error = fault(cls, {**raw, wrong: valid(field), name: valid(field)})
    assert error.pointer == f"/base/{wrong}"
    assert error.message == f'is "{name}" a second time'


# What the text of the specification (1.3.0) says is REQUIRED, but for what runc takes without:
# process and root (check.py has callers' words for them), user.uid and gid, cwd, the seccomp
# action of an empty object, an I/O priority, the allow of a device rule.
REQUIRED = {
    "ConsoleSize": "height width",
    "Device": "path type",
    "Hook": "path",
    "HugepageLimit": "limit pageSize",
    "IDMapping": "containerID hostID size",
    "IOPriority": "class",
    "InterfacePriority": "name priority",
    "MemoryPolicy": "mode",
    "Mount": "destination",
    "Namespace": "type",
    "Personality": "domain",
    "Rlimit": "hard soft type",
    "Root": "path",
    "Scheduler": "policy",
    "Spec": "ociVersion",
    "Syscall": "action names",
    "SyscallArg": "index op value",
    "ThrottleDevice": "major minor rate",
    "WeightDevice": "major minor",
}


def test_what_is_required_is_what_the_text_requires() -> None:
    found = {
        cls.__name__: " ".join(sorted(name for name, field in cls.FIELDS.items() if field.required))
        for cls in classes()
    }
    assert {name: words for name, words in found.items() if words} == REQUIRED


@pytest.mark.parametrize(("cls", "name", "field"), ALL_FIELDS)
def test_every_integer_has_its_range(cls: type[Model], name: str, field: Field) -> None:
    if accepts(field) != "an integer":
        assert not field.expected.startswith("an integer")
        return
    words = field.expected.split()
    low, high = int(words[3]), int(words[5])
    for value in (low, high):
        made = decode_object(cls, {**smallest(cls), name: value})
        assert getattr(made, field.attribute) == value
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
    with pytest.raises(TypeError, match="unexpected keyword argument 'dst'"):
        model.Mount(dst="/x")


def test_what_no_table_knows_is_not_deeper_than_other_documents() -> None:
    """The reader bounds what it knows by the tables alone, and looks at the rest."""

    def nested(depth: int) -> list[object]:
        found: list[object] = []
        for _ in range(depth):
            found = [found]
        return found

    cyclic: dict[str, object] = {"ociVersion": "1.0.2"}
    cyclic["mine"] = [cyclic, cyclic]
    shared: list[object] = []
    for _ in range(40):
        shared = [shared, shared]
    for raw in (
        {"ociVersion": "1.0.2", "mine": nested(1000)},
        {"ociVersion": "1.0.2", "linux": {"seccomp": {"mine": nested(1000)}}},
        cyclic,
    ):
        with pytest.raises(SpecError, match="nested too deeply"):
            load.decode(raw)
    for mine in (nested(40), shared):
        assert load.decode({"ociVersion": "1.0.2", "mine": mine}).ociVersion == "1.0.2"
    for name in ("mounts", "annotations", "linux", "hostname"):
        with pytest.raises(SpecError, match=f"/{name}.* must be"):
            load.decode({"ociVersion": "1.0.2", name: nested(1000)})
