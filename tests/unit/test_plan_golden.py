# SPDX-License-Identifier: Apache-2.0
"""Whole plans, step by step, for documents and hosts of every kind.

The files in golden/ are made by this test itself, and reviewed as what they are: the order in
which a container comes to be. After a wanted change:

    PYRUNC_REGOLD=1 .venv/bin/pytest tests/unit/test_plan_golden.py; git diff tests/unit/golden
"""

from __future__ import annotations

import os
import re
from dataclasses import astuple
from pathlib import Path

import plan_specs
import pytest

from pyrunc.plan import header, steps, wire

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
CASES = plan_specs.cases()


def described(case: plan_specs.Case) -> str:
    plan = case.plan()
    head = (
        f"# clone3 flags {plan.spawn_flags:#x}, {plan.registers} registers,"
        f" {plan.passed} of them passed\n"
    )
    joined = [f"# joined: {entry!r}\n" for entry in map(astuple, plan.joined)]
    return head + "".join(joined) + "".join(f"{as_text(step)}\n" for step in plan.steps)


def as_text(step: steps.Step) -> str:
    """A step as pyrunc-init gets it: truth values are numbers."""
    values = {name: getattr(step, name) for name, _ in step.FIELDS}
    shown = [f"{n}={int(v) if isinstance(v, int) else v!r}" for n, v in values.items()]
    if step.pointer:
        shown.append(f"pointer={step.pointer!r}")
    return f"{type(step).__name__}({', '.join(shown)})"


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_the_one_that_was_reviewed(name: str) -> None:
    made = described(CASES[name])
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("PYRUNC_REGOLD"):
        path.write_text(made)
        pytest.skip(f"wrote {path}")
    assert made.splitlines() == path.read_text().splitlines()


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
