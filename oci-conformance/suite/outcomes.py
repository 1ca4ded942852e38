# SPDX-License-Identifier: Apache-2.0
"""The outcomes of the cases, and what is known about those that are not kept."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Outcome:
    case: str
    clause: str
    place: str
    text: str
    outcome: str  # kept, broken, lenient, "not run"
    expected: str
    seen: str
    why: str = ""  # from explained.toml


@dataclass(slots=True)
class Examined:
    """A runtime and its outcomes, by case."""

    program: str
    name: str  # "runc", from `--version`
    version: str
    seconds: float
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        return sum(one.outcome == outcome for one in self.outcomes.values())

    def unexplained(self) -> list[Outcome]:
        """What is not kept, without an explanation."""
        bad = ("broken", "lenient")
        return [one for one in self.outcomes.values() if one.outcome in bad and not one.why]


def explain(runtimes: list[Examined], path: Path) -> None:
    """Add the explanations to the outcomes.

    A table for each runtime: case = "why"; a name that ends in `*` is a prefix. An explanation
    that begins with "lenient: " is a decision to take what the clause refuses.
    """
    known = tomllib.loads(path.read_text()) if path.exists() else {}
    for runtime in runtimes:
        for name, why in known.get(runtime.name, {}).items():
            for case, outcome in runtime.outcomes.items():
                _explain(case, outcome, name, why)


def _explain(case: str, outcome: Outcome, name: str, why: str) -> None:
    if case != name and not (name.endswith("*") and case.startswith(name[:-1])):
        return
    outcome.why = why.removeprefix("lenient: ")
    if why.startswith("lenient: ") and outcome.outcome == "broken":
        outcome.outcome = "lenient"


def all_cases(runtimes: list[Examined]) -> list[Outcome]:
    """Each case once, in the order of its clause."""
    found: dict[str, Outcome] = {}
    for runtime in runtimes:
        for case, outcome in runtime.outcomes.items():
            found.setdefault(case, outcome)
    return [found[case] for case in sorted(found)]
