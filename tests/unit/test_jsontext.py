# SPDX-License-Identifier: Apache-2.0
"""jsontext: what it reads is what the json package reads, minus what it has to refuse."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc import jsontext
from pyrunc.errors import PyruncError, SpecError

# Text that a strict document can hold: no NUL, no lone surrogate.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
keys = st.lists(text, max_size=4, unique=True)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)


def _objects(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return keys.flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(names, values)))


values = st.recursive(
    scalars | text, lambda inner: st.lists(inner, max_size=4) | _objects(inner), max_leaves=12
)

REFUSED = [
    (b"", "not valid JSON: expecting value at line 1, column 1"),
    (b"{", "not valid JSON: expecting property name enclosed in double quotes at line 1, column 2"),
    (b'{\n "a": }', "not valid JSON: expecting value at line 2, column 7"),
    (b"{} {}", "more text after the document at line 1, column 4"),
    (b"\xff", "not UTF-8 at byte 0"),
    (b"[1, NaN]", "NaN is not JSON"),
    (b"[-Infinity]", "-Infinity is not JSON"),
    (b'{"a": 1, "a": 2}', 'the key "a" stands twice in one object'),
    (b'{"a": [1, {"b": 1, "c": 2, "b": 3}]}', 'the key "b" stands twice in one object'),
    (b'["\\ud800"]', "half of a surrogate pair"),
    (b"[" * 100_000, "nested too deeply"),
    (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_refused_documents_say_why_and_where(data: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        jsontext.loads(data, "process.json")
    assert message in caught.value.message
    assert str(caught.value).startswith("process.json: ")
    assert str(caught.value).endswith(caught.value.message)


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b'["\\u0000"]', "/0"),
        (b'{"a": {"b~/c": [1, "x\\u0000y"]}}', "/a/b~0~1c/1"),
        (b'{"a": {"\\u0000": 1}}', "/a"),
        (b'{"a": "\\u0000", "a": 1}', ""),
    ],
)
def test_a_nul_is_refused_with_its_pointer(data: bytes, pointer: str) -> None:
    for warnings in (None, []):
        with pytest.raises(SpecError) as caught:
            jsontext.loads(data, "config.json", warnings)
        if pointer:
            assert caught.value.message == "a string contains a NUL byte (\\u0000)"
            assert caught.value.pointer == pointer
        elif warnings is None:
            assert "stands twice" in caught.value.message
        if not pointer:
            break


@pytest.mark.parametrize(
    ("data", "value", "warning"),
    [
        (b'{"cwd": 1, "CWD": 2}', {"cwd": 1, "CWD": 2}, ""),
        (b'{"a": 1} {"b"', {"a": 1}, "more text after the document at line 1, column 10, ignored"),
        (b'{"a": ["x\\ud800"]}', {"a": ["x\ufffd"]},
         "/a/0: half of a surrogate pair is read as U+FFFD"),
        (b'{"\\udc00": "\\ud83d\\ude00"}', {"\ufffd": "\U0001f600"},
         "/: half of a surrogate pair is read as U+FFFD"),
    ],
)  # fmt: skip
def test_what_go_reads_is_read_with_a_warning(data: bytes, value: object, warning: str) -> None:
    warnings: list[str] = []
    assert jsontext.loads(data, "config.json", warnings) == value
    assert warnings == ([warning] if warning else [])


def test_an_object_with_a_key_twice_is_nobodys_dict() -> None:
    found = jsontext.loads(b'{"x": {"a": 1, "b": 2, "a": 3}}', "config.json", [])
    assert type(found["x"]) is jsontext.Repeated
    assert found["x"].key == "a"


def test_a_document_above_the_size_limit_is_not_read() -> None:
    data = b" " * jsontext.MAX_BYTES + b"1"
    with pytest.raises(SpecError, match=r"16777217 bytes are more than the 16 MiB that are read"):
        jsontext.loads(data)
    assert jsontext.loads(data[1:]) == 1


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'["\\\\u0000"]', ["\\u0000"]),
        (b'["\\ud83d\\ude00"]', ["\U0001f600"]),
        (b" \t\r\n[1] \n", [1]),
        (b"18446744073709551615", 2**64 - 1),
        (b"-0", 0),
    ],
)
def test_documents_near_a_refused_one_are_read(data: bytes, value: object) -> None:
    assert jsontext.loads(data) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" + b"1" * 5000 + b"]", "a number has too many digits"),
        (b"[1e999]", "1e999 is more than a number can hold"),
        (b'{"a": -1e999}', "-1e999 is more than a number can hold"),
    ],
    ids=["5000 digits", "1e999", "-1e999"],
)
def test_numbers_that_no_field_can_hold_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        jsontext.loads(data)
    assert caught.value.message == message
    assert jsontext.loads(b"[1.5e300, -0.0]") == [1.5e300, -0.0]


def nested(depth: int, kinds: str, inside: bytes = b"") -> bytes:
    """A document of `depth` containers, "a" for an array, "o" for an object."""
    chosen = [kinds[i % len(kinds)] for i in range(depth)]
    opened = b"".join(b"[" if kind == "a" else b'{"\\u0041":' for kind in chosen[:-1])
    closed = b"".join(b"]" if kind == "a" else b"}" for kind in reversed(chosen[:-1]))
    return opened + (b"[%s]" % inside) + closed


@pytest.mark.parametrize("kinds", ["a", "o", "ao"])
def test_nesting_has_one_limit_whatever_the_interpreters_stack(kinds: str) -> None:
    def refused(depth: int) -> bool:
        try:
            jsontext.loads(nested(depth, kinds, b'"\\u0041"'))
        except SpecError as error:
            assert error.message == "nested too deeply"
            return True
        return False

    limit = jsontext.MAX_DEPTH
    assert [refused(depth) for depth in range(1, limit + 1)] == [False] * limit
    # Up to and past the interpreter's own limit, where a RecursionError used to get out.
    assert all(refused(depth) for depth in range(limit + 1, 1200))


MANY = jsontext.MAX_NAMES


@pytest.mark.parametrize("objects", [1, 3])
def test_more_names_than_are_hashed_are_refused_with_their_place(objects: int) -> None:
    rows = [", ".join(f'"{part}-{n}":\n{n}' for n in range(MANY)) for part in range(objects)]
    text = ", ".join(f'"o{n}": {{{row}}}' for n, row in enumerate(rows))
    with pytest.raises(SpecError, match=f"more than {MANY} names of members at line {MANY}, "):
        jsontext.loads(f"{{{text}}}".encode())


@pytest.mark.parametrize("objects", [1, 40])
def test_as_many_names_as_are_hashed_are_read(objects: int) -> None:
    """However often each occurs in the document, and whatever looks like one in a string."""
    row = "{" + ", ".join(f'"{n}" : "\\": {n}\\\\"' for n in range(MANY // 40)) + "}"
    found = jsontext.loads(f"[{', '.join([row] * objects)}]".encode())
    assert [*map(len, found)] == [MANY // 40] * objects
    row = "{" + ", ".join(f'"{n}": ":::"' for n in range(MANY)) + "}"
    assert len(jsontext.loads(row.encode())) == MANY


def test_looking_for_names_takes_no_longer_than_the_text() -> None:
    """A last string without an end, of nothing but quotes, was read from each of them again."""
    data = b"[" + b'":",' * MANY + b'"' + b'\\"' * 500_000
    start = time.process_time()
    with pytest.raises(SpecError, match="not valid JSON: unterminated string"):
        jsontext.loads(data)
    assert time.process_time() - start < 20


def test_many_brackets_are_not_depth() -> None:
    assert len(jsontext.loads(b"[" + b"[],{}," * 500 + b"[]]")) == 1001
    assert jsontext.loads(b'"' + b"[{" * 500 + b'"') == "[{" * 500


def test_a_syntax_error_deep_inside_is_still_ours() -> None:
    for depth in range(900, 1100):
        with pytest.raises(SpecError, match=r"expecting value at line 1|nested too deeply"):
            jsontext.loads(b"[" * depth + b"x" + b"]" * depth)


@given(values)
def test_what_the_json_package_writes_is_read_back(value: object) -> None:
    for ascii_only in (True, False):
        data = json.dumps(value, ensure_ascii=ascii_only).encode()
        assert jsontext.loads(data) == value


@given(values)
def test_what_dumps_writes_the_json_package_reads_back(value: object) -> None:
    assert json.loads(jsontext.dumps(value)) == value
    assert json.loads(jsontext.dumps_indented(value, "\t")) == value


@given(values, st.data())
def test_a_broken_document_raises_nothing_but_our_error(value: object, data: st.DataObject) -> None:
    document = bytearray(json.dumps(value).encode())
    place = data.draw(st.integers(0, len(document) - 1))
    document[place] = data.draw(st.integers(0, 255))
    try:
        json.loads(bytes(document))
        valid = True
    except ValueError:
        valid = False
    try:
        jsontext.loads(bytes(document))
    except PyruncError:
        return
    assert valid, "read what the json package refuses"


def test_output_is_what_go_prints() -> None:
    value = {"a": [1, True, None, "<&>é"], "b": {}, "c": []}
    assert jsontext.dumps(value) == ('{"a":[1,true,null,"\\u003c\\u0026\\u003eé"],"b":{},"c":[]}')
    assert jsontext.dumps_indented({"a": [1, {"b": 2}], "c": {}}, "  ") == (
        '{\n  "a": [\n    1,\n    {\n      "b": 2\n    }\n  ],\n  "c": {}\n}'
    )


def test_a_value_without_json_form_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        jsontext.dumps({"a": {1}})
