# SPDX-License-Identifier: Apache-2.0
"""docs/spec-coverage.md is complete, true to the tests that exist, and up to date."""

from __future__ import annotations

from collections import Counter

import pytest

from pyrunc.spec import names
from pyrunc.spec.fields import Model
from pyrunc.spec.model import Spec
from tests.spec_table import generate, row
from tests.unit.test_spec_load import classes

ROWS = [found for chapter in generate.CHAPTERS for found in chapter.rows]
IDS = row.known()
TABLES = {name: value for name, value in vars(names).items() if isinstance(value, tuple)}


def member(path: str) -> set[tuple[str, str]]:
    """The (class, member) pairs that a path means; "*" is any key of a map, or any member."""
    found: list[tuple[type[Model], str]] = []
    level: list[type[Model]] = [Spec]
    for part in path.replace("[]", "").split("."):
        if part == "*" and all(cls.__name__ != "Hooks" for cls in level):
            continue  # the key of a map: its values are what follows
        wanted = [(cls, name) for cls in level for name in cls.FIELDS if part in (name, "*")]
        if not wanted:
            raise LookupError(f"{path}: there is no {part}")
        found = wanted
        items = [cls.FIELDS[name].item for cls, name in wanted]
        level = [item for item in items if isinstance(item, type)]
    return {(cls.__name__, name) for cls, name in found}


def test_every_property_of_the_model_has_a_row() -> None:
    covered = set().union(*(member(found.name) for found in ROWS if row.is_path(found.name)))
    every = {(cls.__name__, name) for cls in classes() for name in cls.FIELDS}
    assert every - covered == set()
    assert len(every) > 170


@pytest.mark.parametrize("table", TABLES)
def test_every_word_of_the_specification_has_a_row(table: str) -> None:
    """Mount options above all; and namespaces, actions, policies, modes."""
    covered = {word for found in ROWS for word in found.values}
    assert set(TABLES[table]) - covered == set()


def test_no_row_is_there_twice() -> None:
    counted = Counter(found.name for found in ROWS)
    assert [name for name, count in counted.items() if count > 1] == []


def test_every_row_names_tests_that_exist_or_a_reason() -> None:
    for found in ROWS:
        assert [short for short in found.tests.split() if short not in IDS] == [], found.name
        assert bool(found.tests) != bool(found.reason), found.name
        assert found.does, found.name
        assert "\n" not in "".join(map(str, found)), found.name


def test_rows_without_a_test_are_few() -> None:
    assert len([found for found in ROWS if not found.tests]) <= len(ROWS) // 20


def test_a_row_too_few_a_test_too_many_and_a_wrong_path_are_noticed() -> None:
    with pytest.raises(LookupError):
        member("process.colour")
    with pytest.raises(LookupError):
        member("mounts[].options.x")
    assert member("hooks.*[].path") == {("Hook", "path")}
    assert member("linux.timeOffsets.*.secs") == {("TimeOffset", "secs")}
    assert "spec_coverage:a_test_that_nobody_wrote" not in IDS
    assert "bundles:same[no_such_case]" not in IDS
    assert "bundles:same[default]" in IDS


def test_the_document_is_what_the_tables_say() -> None:
    made = generate.document()
    hint = "python -m tests.spec_table.generate > docs/spec-coverage.md"
    assert generate.DOCUMENT.read_text().splitlines() == made.splitlines(), hint
