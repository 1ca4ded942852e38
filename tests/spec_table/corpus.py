# SPDX-License-Identifier: Apache-2.0
"""Documents, right and wrong in one place each, and the judges that say which they are.

From one full document: each member is removed, made null, given other types, numbers beyond
every range, unknown and empty words, members that nobody knows; lists and objects are emptied.
Deterministic: the choice among other types comes from a seeded generator.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft4Validator, Draft202012Validator

from pyrunc.errors import SpecError
from pyrunc.spec import load
from tests.lib import schema as ours

OFFICIAL = Path("/usr/share/gocode/src/github.com/opencontainers/specs/schema")
FULL: dict[str, Any] = json.loads((Path(__file__).parent / "full.json").read_text())
ABSENT = object()
# One value of each type; what is a member's own type is left out.
OTHERS: tuple[Any, ...] = (True, 7, "word", ["word"], {"key": "word"}, 1.5)
NUMBERS = (-2, 0, 1 << 16, 1 << 31, 1 << 32, 1 << 63, 1 << 64)
WORDS = ("", "unknown", "/absolute", "two\nlines", "1")
MEMBERS_MORE = {"x-nobody-knows": {"a": [1]}}


class Variant(NamedTuple):
    """One changed document.

    Attributes:
        pointer: the changed member, with 0 for any index.
        change: what kind of change, in a word.
        value: what stands there now; ABSENT: nothing.
        document: the whole.
    """

    pointer: str
    change: str
    value: Any
    document: dict[str, Any]


def kind(value: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list"}
    return names.get(type(value), "object")


def places(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every member below a value; of a list the first entry."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield f"{pointer}/{key}", member
            yield from places(member, f"{pointer}/{key}")
    elif isinstance(value, list) and value:
        yield f"{pointer}/0", value[0]
        yield from places(value[0], f"{pointer}/0")


def older() -> dict[str, Any]:
    """The full document without the one thing that Debian's schemas, of 1.0.2, do not let pass."""
    document = copy.deepcopy(FULL)
    linux = document["linux"]
    linux["namespaces"] = [row for row in linux["namespaces"] if row["type"] != "time"]
    del linux["timeOffsets"]
    return document


def changed(full: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(full)
    *path, last = pointer[1:].split("/")
    place: Any = document
    for part in path:
        place = place[int(part) if isinstance(place, list) else part]
    key: Any = int(last) if isinstance(place, list) else last
    if value is ABSENT:
        del place[key]
    else:
        place[key] = value
    return document


def changes(value: Any, chance: random.Random) -> Iterator[tuple[str, Any]]:
    """Pairs of (kind of change, new value) for one member."""
    own = kind(value)
    yield "removed", ABSENT
    yield "null", None
    wrong = [other for other in OTHERS if kind(other) != own]
    for other in chance.sample(wrong, 1):
        yield f"{kind(other)} for {own}", other
    if own == "number":
        yield from (("number", number) for number in NUMBERS)
        yield "fraction", 1.5
    elif own == "text":
        yield from (("text", word) for word in WORDS)
    elif own == "list":
        yield "emptied", []
        yield "doubled", [*value, *copy.deepcopy(value)]
    elif own == "object":
        yield "emptied", {}
        yield "more", value | MEMBERS_MORE


def corpus(full: dict[str, Any], seed: int = 1) -> list[Variant]:
    """All variants of a document, itself the first."""
    chance = random.Random(seed)
    made = [Variant("", "full", full, full)]
    for pointer, value in places(full):
        for change, new in changes(value, chance):
            made.append(Variant(pointer, change, new, changed(full, pointer, new)))
    return made


# --- judges ----------------------------------------------------------------------------------


def loader(document: dict[str, Any]) -> str:
    """What pyrunc has against a document, or ""."""
    try:
        load.from_json(document)
    except SpecError as error:
        return str(error)
    return ""


def own() -> Any:
    """The judgement of config.schema.json."""
    schema = json.loads(ours.PATH.read_text())
    validator = Draft202012Validator(schema)
    return lambda document: _first(validator, ours.without_nulls(document))


def official() -> Any:
    """The judgement of the specification's schemas, their files put into one."""
    files = {path.name: json.loads(path.read_text()) for path in OFFICIAL.glob("*.json")}

    def joined(value: Any, name: str) -> Any:
        if isinstance(value, list):
            return [joined(entry, name) for entry in value]
        if not isinstance(value, dict):
            return value
        made = {key: joined(entry, name) for key, entry in value.items() if key != "id"}
        if isinstance(value.get("$ref"), str):
            file, _, pointer = value["$ref"].partition("#")
            made["$ref"] = f"#/files/{file or name}{pointer}"
        return made

    whole = {name: joined(schema, name) for name, schema in files.items()}
    schema = whole["config-schema.json"] | {"files": whole}
    return lambda document: _first(Draft4Validator(schema), document)


def _first(validator: Any, document: dict[str, Any]) -> str:
    for error in validator.iter_errors(document):
        where = "/".join(map(str, error.absolute_path))
        return f"/{where}: {error.message}"
    return ""
