# SPDX-License-Identifier: Apache-2.0
"""The names of clauses: where they stand, what they ask for in short, and which case holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Clause:
    name: str
    place: str  # "file, heading" in the runtime specification
    text: str  # what it asks for, in our words


def holds(name: str, place: str, text: str, cases: Sequence[Any] = ()) -> Callable[..., Any]:
    """A case for a clause; with `cases`, one for each of them (its argument is `it`)."""

    def mark(function: Function) -> Any:
        made = pytest.mark.clause(clause=Clause(name, place, text))(function)
        if not cases:
            return made
        pairs = [one if isinstance(one, tuple) else (str(one), one) for one in cases]
        ids = [label for label, _ in pairs]
        return pytest.mark.parametrize("it", [value for _, value in pairs], ids=ids)(made)

    return mark


def rows(table: Iterable[tuple[str, str, str, Any]]) -> Callable[[Function], Function]:
    """A function that runs once for each clause of a table: name, place, text, argument."""
    made: Callable[[Function], Function] = pytest.mark.parametrize(
        "it",
        [
            pytest.param(value, id=name, marks=pytest.mark.clause(clause=Clause(name, place, text)))
            for name, place, text, value in table
        ],
    )
    return made
