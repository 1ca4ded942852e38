# SPDX-License-Identifier: Apache-2.0
"""Whole plans, step by step, for documents and hosts of every kind.

The files in golden/ are what `pyrunc plan` prints, and reviewed as what they are: the order in
which a container comes to be, with its reasons. After a wanted change:

    PYRUNC_REGOLD=1 .venv/bin/pytest tests/unit/test_plan_golden.py; git diff tests/unit/golden
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

import pytest

from pyrunc.plan import explain, header, steps, wire
from tests.unit import plan_specs

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
CASES = plan_specs.cases()


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_the_one_that_was_reviewed(name: str) -> None:
    made = f"{CASES[name].plan()}\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("PYRUNC_REGOLD"):
        path.write_text(made)
        pytest.skip(f"wrote {path}")
    assert made.splitlines() == path.read_text().splitlines()


# What the words leave out: another step says it.
LEFT_OUT = {
    "OpenInside.result", "MakeFilesystem.result", "LongFilesystem.result",
    "OpenProcfs.result", "JoinCgroups.first", "Seccomp.program",
}  # fmt: skip


def other(value: object, kind: str) -> object:
    """Another value of a field."""
    if isinstance(value, IntEnum):
        return next(one for one in type(value) if one != value)
    if isinstance(value, bool):
        return not value
    if kind in (wire.STRING, wire.OPTIONAL):
        return "/another"
    if isinstance(value, tuple):
        return (*value, "another")
    if isinstance(value, bytes):
        return bytes([*value[:4], value[4] ^ 1, *value[5:]]) if len(value) > 4 else b"\7" * 8
    assert isinstance(value, int)
    return value ^ 1


def test_whatever_a_step_says_the_words_say() -> None:
    """Else a golden file would hold less than the plan."""
    fields, said = set(), set()
    for case in CASES.values():
        for step in case.plan().steps:
            [line] = explain.lines([step], {})
            for name, kind in step.FIELDS:
                changed = replace(step, **{name: other(getattr(step, name), kind)})
                fields.add(field := f"{type(step).__name__}.{name}")
                if explain.lines([changed], {})[0].text != line.text:
                    said.add(field)
    assert fields - said == LEFT_OUT


def test_every_golden_file_has_its_case() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(CASES)


def test_the_golden_plans_hold_every_step() -> None:
    held = {type(step) for case in CASES.values() for step in case.plan().steps}
    assert [step.NAME for step in steps.ALL if step not in held] == []


def test_the_generated_c_header_is_up_to_date() -> None:
    path = HERE.parent.parent / "csrc" / "init" / "plan_wire.h"
    assert header.header() == path.read_text(), "python -m pyrunc.plan.header > " + str(path)


def test_every_step_has_a_function_and_a_number_of_its_own() -> None:
    assert [step.OPCODE for step in steps.ALL] == list(range(1, len(steps.ALL) + 1))
    assert len({step.NAME for step in steps.ALL}) == len(steps.ALL)
    table = (HERE.parent.parent / "csrc" / "init" / "main.c").read_text()
    for step in steps.ALL:
        assert f"ENTRY({step.NAME}, {step.NAME.upper()})," in table
    assert wire.CALLS[0] == wire.REASONS[0] == "none"


def test_every_call_and_reason_is_one_that_c_reports() -> None:
    sources = (HERE.parent.parent / "csrc" / "init").glob("*.c")
    text = "".join(path.read_text() for path in sources)
    named = [f"PR_CALL_{call.upper()}" for call in wire.CALLS[1:]]
    named += [f"PR_WHY_{reason.upper()}" for reason in wire.REASONS[1:]]
    assert [name for name in named if not re.search(rf"\b{name}\b", text)] == []
