# SPDX-License-Identifier: Apache-2.0
"""The courses of tests/engines are what they say; and a step can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engines import course
from tests.engines.course import Outcome, Step

FILES = sorted((Path(course.__file__).parent).glob("*.txt"))
STEPS = [
    (path.stem, step) for path in FILES for steps in course.read(path).values() for step in steps
]


def test_there_is_a_course_for_each_engine() -> None:
    assert [path.stem for path in FILES] == ["buildah", "containerd", "docker", "podman"]


@pytest.mark.parametrize(("engine", "step"), STEPS, ids=[f"{e}-{s.name}" for e, s in STEPS])
def test_a_step_is_whole(engine: str, step: Step) -> None:
    assert step.script, "a step without a script"
    re.compile(step.out)
    re.compile(step.err)
    assert step.name not in step.script.splitlines()


@pytest.mark.parametrize("engine", {engine for engine, _ in STEPS})
def test_names_are_unique(engine: str) -> None:
    names = [step.name for name, step in STEPS if name == engine]
    double = {name for name in names if names.count(name) > 1}
    assert not double


def test_what_is_not_expected_is_told() -> None:
    (good, bad, late) = course.play(
        [
            Step("right", script="echo $image; exit 3", out="busybox", code=3),
            Step("wrong", script="echo other; echo why >&2", out="this"),
            Step("waits", script="until_ok false", code=1),
        ],
        "sleep() { :; }\n", 1, image="busybox",
    )  # fmt: skip
    assert good.wrong(Step("", out="busybox", code=3)) == ""
    assert "why" in bad.wrong(Step("", out="this"))
    assert "exit code 0, not 1" in bad.wrong(Step("", code=1))
    assert "has no 'x'" in bad.wrong(Step("", out="other", err="x"))
    assert late == Outcome("", "never: false\n", 1)


def test_ids_and_times_do_not_count() -> None:
    assert course.alike(f"{'0a' * 32} 2026-01-02T03:04:05.6Z abc") == "ID TIME abc"
