# SPDX-License-Identifier: Apache-2.0
"""One row of docs/spec-coverage.md, and how the short names of tests in it are read."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

from pyrunc.spec.model import Spec

TESTS = Path(__file__).resolve().parent.parent


class Row(NamedTuple):
    """What one property does here, and what proves it.

    Attributes:
        name: the path of a property ("mounts[].type"; "*" stands for any key), or a text.
        does: what pyrunc does.
        tests: "file:test" separated by spaces: test_FILE.py, and test_TEST in it; "[case]"
            after bundles:same names one of its cases.
        peers: where runc and crun do otherwise; "" where they do the same.
        values: words of spec.names that this row is about.
        reason: why there is no test, where there is none.
    """

    name: str
    does: str
    tests: str = ""
    peers: str = ""
    values: tuple[str, ...] = ()
    reason: str = ""


def is_path(name: str) -> bool:
    """Whether a row's name is a property's; a misspelt one leaves that property without a row."""
    return " " not in name and name.partition(".")[0].removesuffix("[]") in Spec.FIELDS


class Chapter(NamedTuple):
    """Rows under one heading."""

    title: str
    text: str
    rows: tuple[Row, ...]


def test_files() -> dict[str, Path]:
    """The part of a file's name between test_ and .py -> the file."""
    return {path.stem.removeprefix("test_"): path for path in sorted(TESTS.glob("*/test_*.py"))}


def _functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def cases() -> set[str]:
    """The bundles of the differential tests: functions with the decorator @case."""
    found = set()
    for path in (TESTS / "differential").glob("cases_*.py"):
        for function in _functions(path):
            for decorator in function.decorator_list:
                call = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(call, ast.Name) and call.id == "case":
                    found.add(function.name)
    return found


def known() -> dict[str, str]:
    """Every short name of a test -> pytest's node id; made from the sources, not by pytest."""
    found = {}
    for short, path in test_files().items():
        where = f"tests/{path.relative_to(TESTS)}"
        for function in _functions(path):
            if function.name.startswith("test_"):
                name = function.name.removeprefix("test_")
                found[f"{short}:{name}"] = f"{where}::{function.name}"
    same = found["bundles:same"]
    return found | {f"bundles:same[{name}]": f"{same}[{name}]" for name in cases()}
