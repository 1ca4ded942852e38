# SPDX-License-Identifier: Apache-2.0
"""The runner of the official suite: parser, expectations, judgement; without the suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from official import expected, main, programs, tap

HERE = Path(__file__).resolve().parent.parent.parent / "oci-conformance"

POINTS = {
    "ok 1 - one\nok 2 - two\n1..2\n": (2, 0, []),
    "TAP version 13\nok 1 - one\nnot ok 2 - two\n1..2\n": (1, 0, ["two"]),
    "ok\nnot ok\n": (1, 0, ["(no description)"]),
    "ok 1 # SKIP no device\nnot ok 2 - x # TODO later\n": (0, 2, []),
    "ok 1 - one #1 of many\n": (1, 0, []),
    "okay\nnot okay\nfailed to create the container\n": (0, 0, []),
    "1..0\n": (0, 0, []),
    "": (0, 0, []),
    "  ok 1 - of a subtest\n": (0, 0, []),
}


@pytest.mark.parametrize("text", POINTS)
def test_points(text):
    found = tap.parse(text)
    assert (found.passed, found.skipped, found.failed) == POINTS[text]


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("ok 1\n", 0, "pass"),
        ("ok 1\n", 1, "FAIL"),
        ("ok 1\nnot ok 2\n", 0, "FAIL"),
        ("", 0, "none"),
        ("ok 1 # SKIP\n", 0, "none"),
        ("ok 1\n", None, "time-out"),
    ],
)
def test_an_outcome_in_a_word(text, code, word):
    assert programs.Outcome(tap.parse(text), code, 60).word == word


def reason(**more):
    entry = {"kind": "broken", "reason": "r", "evidence": "e"} | more
    return expected.decode({"p": entry})["p"]


@pytest.mark.parametrize(
    ("text", "entry", "judged"),
    [
        ("ok 1\n", None, ""),
        ("not ok 1 - x\n", None, "is expected to pass: x"),
        ("not ok 1 - x\n", {}, ""),
        ("ok 1\n", {}, "passes, and expected.toml says that it cannot"),
        ("ok 1\n", {"sometimes": True}, ""),
        ("", None, "is expected to pass: none"),
    ],
)
def test_what_is_not_as_expected(text, entry, judged):
    outcome = programs.Outcome(tap.parse(text), 0, 60)
    assert main.judged(outcome, None if entry is None else reason(**entry)) == judged


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "odd"},
        {"reason": ""},
        {"evidence": " "},
        {"hosts": ["v3"]},
        {"hosts": []},
        {"unknown": 1},
    ],
)
def test_an_entry_that_is_not_whole(entry):
    with pytest.raises(ValueError, match=r"^p: "):
        reason(**entry)


def test_the_expectations_are_whole():
    found = expected.read(HERE / "expected.toml")
    assert len(found) > 20
    assert {entry.kind for entry in found.values()} == set(expected.KINDS)


def test_a_suite_that_has_not_been_built(tmp_path, capsys):
    assert main.main(["--suite", str(tmp_path), "--runtime", "sh"]) == 2
    assert "build it first" in capsys.readouterr().err


def suite(path: Path, programs: dict[str, str]) -> Path:
    """A checkout whose programs are scripts."""
    (path / "runtimetest").touch()
    for name, script in programs.items():
        directory = path / "validation" / name
        directory.mkdir(parents=True)
        (directory / f"{name}.t").write_text(f"#!/bin/sh\n{script}\n")
        (directory / f"{name}.t").chmod(0o755)
    return path


def test_programs_are_found_by_their_names(tmp_path):
    made = suite(tmp_path, {"one": "echo ok 1", "two": "echo not ok 1"})
    assert programs.names(made) == ["one", "two"]
