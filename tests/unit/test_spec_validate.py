# SPDX-License-Identifier: Apache-2.0
"""spec.validate: all faults of a document at once, each as the readers report it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunc.errors import SpecError
from pyrunc.spec import load, validate
from pyrunc.spec.validate import MOST, Finding
from tests.unit.test_spec_check import BROKEN, ODD, refusal
from tests.unit.test_spec_load import at, config, dumped

# The long ones take long, and say nothing new here.
ROWS = [row for row in BROKEN if len(json.dumps(row[1])) < 1000]


def found(raw: Any) -> tuple[list[Finding], list[Finding]]:
    """The faults and what is odd."""
    all_of_them = validate.validate(dumped(raw))
    faults = [finding for finding in all_of_them if finding.fault]
    assert faults + [one for one in all_of_them if not one.fault] == all_of_them
    return faults, all_of_them[len(faults) :]


def test_a_good_document_has_no_findings() -> None:
    assert found(config()) == ([], [])


@pytest.mark.parametrize("row", ROWS, ids=[row[3][:50] for row in ROWS])
def test_one_fault_is_the_one_that_create_reports(row: tuple[str, object, str, str]) -> None:
    raw = config()
    at(raw, row[0], row[1])
    error = refusal(row[:2])
    faults, _ = found(raw)
    assert [(one.pointer, one.message, one.hint) for one in faults] == [
        (error.pointer, error.message, error.hint)
    ]


def apart(one: str, other: str) -> bool:
    """Whether two pointers lead to different members, none of them within the other."""
    one, other = one.split("/")[1:3], other.split("/")[1:3]  # type: ignore[assignment]
    return one[: len(other)] != other[: len(one)]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ROWS), st.sampled_from(ROWS))
def test_two_faults_are_both_found(first: Any, second: Any) -> None:
    errors = [refusal(row[:2]) for row in (first, second)]
    if not all(error.pointer for error in errors) or not apart(*(e.pointer for e in errors)):
        return
    if not apart(first[0], second[0]):  # the second would replace the first
        return
    raw = config()
    for row in (first, second):
        at(raw, row[0], row[1])
    messages = {(error.pointer, error.message) for error in errors}
    assert messages <= {(one.pointer, one.message) for one in found(raw)[0]}


def test_places_in_lists_are_those_of_the_document() -> None:
    raw = config()
    raw["mounts"] = [
        {"destination": "/a", "type": "tmpfs", "source": "tmpfs"},
        "no mount",
        {"destination": "/b", "type": 5},
        {"type": "tmpfs"},
        {"destination": "/", "type": "tmpfs"},
        None,
        {"destination": "/c", "uidMappings": [{"containerID": 0, "hostID": 0, "size": "1"}]},
    ]
    raw["linux"]["namespaces"] += [{"type": "pid"}, {"type": "odd"}]
    faults, _ = found(raw)
    assert sorted(one.pointer for one in faults) == sorted(
        [
            "/mounts/1", "/mounts/2/type", "/mounts/3/destination", "/mounts/4/destination",
            "/mounts/5", "/mounts/6/uidMappings/0/size",
            f"/linux/namespaces/{len(raw['linux']['namespaces']) - 2}/type",
            f"/linux/namespaces/{len(raw['linux']['namespaces']) - 1}/type",
        ]
    )  # fmt: skip


@pytest.mark.parametrize("row", ODD, ids=[row[2][:50] for row in ODD])
def test_what_is_odd_is_no_fault(row: tuple[str, object, str]) -> None:
    raw = config()
    at(raw, row[0], row[1])
    faults, odd = found(raw)
    assert faults == []
    assert any(row[2] in str(one) for one in odd)


def test_what_is_odd_is_found_beside_a_fault() -> None:
    raw = config()
    raw["linux"]["resourses"] = {}
    raw["process"]["args"] = []
    raw["process"]["capabilities"]["bounding"].append("CAP_FOO")
    faults, odd = found(raw)
    assert [one.pointer for one in faults] == ["/process/args"]
    assert {one.pointer for one in odd} == {"/linux/resourses", "/process/capabilities"}
    assert [one.to_json()["level"] for one in (*faults, *odd)] == ["error", "warning", "warning"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b"[" * 9999])
def test_documents_that_are_no_object(data: bytes) -> None:
    with pytest.raises(SpecError) as caught:
        load.parse(data)
    (only,) = validate.validate(data)
    assert (only.fault, only.pointer, only.message) == (True, "", caught.value.message)


def test_an_empty_object_lacks_what_is_required() -> None:
    faults, _ = found({})
    assert {"/ociVersion", "/process", "/root"} >= {one.pointer for one in faults}
    assert len(faults) >= 2


def test_a_name_in_another_case_is_repaired_where_it_stands() -> None:
    raw = config()
    raw["process"]["Args"] = raw["process"].pop("args")
    raw["process"]["Args"][0] = 5
    faults, _ = found(raw)
    assert [one.pointer for one in faults] == ["/process/args/0"]


def test_there_is_an_end() -> None:
    raw = config()
    raw["mounts"] = [{"destination": 5, "type": 6}] * 500
    assert len(found(raw)[0]) == MOST


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_wrong_each_fault_is_said_once(data: st.DataObject) -> None:
    raw = config()
    for name in data.draw(st.lists(st.sampled_from(sorted(raw)), max_size=3)):
        raw[name] = data.draw(values)
    faults, _ = found(raw)
    try:
        load.parse(dumped(raw))
    except SpecError as error:
        assert (faults[0].pointer, faults[0].message) == (error.pointer, error.message)
    else:
        assert not faults
    assert len({one.pointer for one in faults}) == len(faults) < MOST
