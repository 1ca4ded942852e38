# SPDX-License-Identifier: Apache-2.0
"""One change of the default bundle, and how a module lists its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.differential.differ import Box

Change = Callable[[Box], None]


@dataclass
class Case:
    change: Change
    prefix: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    status: int = 0


def listed_in(cases: dict[str, Case]) -> Callable[..., Callable[[Change], Change]]:
    """The decorator that makes functions cases of a module, under their names."""

    def case(**details: Any) -> Callable[[Change], Change]:
        def register(change: Change) -> Change:
            assert change.__name__ not in cases, change.__name__
            cases[change.__name__] = Case(change, **details)
            return change

        return register

    return case
