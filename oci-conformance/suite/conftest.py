# SPDX-License-Identifier: Apache-2.0
"""pytest's part: one runtime, a share of the cases, and their outcomes as lines of JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Box, Broken, Lenient, become_reaper


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runtime", default="runc")
    parser.addoption("--probe", type=Path)
    parser.addoption("--results", type=Path)
    parser.addoption("--only", default="")
    parser.addoption("--share", default="0/1", help="the cases number N, N+M, ... of N/M")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clause: which clause of the specification a case holds")
    become_reaper()


def case_name(item: pytest.Item) -> str:
    """The clause, and what of it, if it has more than one case."""
    name: str = item.get_closest_marker("clause").kwargs["clause"].name  # type: ignore[union-attr]
    part = item.callspec.id if hasattr(item, "callspec") else ""
    return f"{name}[{part}]" if part and part != name else name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    number, of = (int(part) for part in config.getoption("--share").split("/"))
    parts = config.getoption("--only").split(",")
    wanted = [item for item in items if any(part in case_name(item) for part in parts)]
    items[:] = wanted[number::of]


@pytest.fixture
def box(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Box]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    option = request.config.getoption
    directory = tmp_path_factory.mktemp("box")
    made = Box(option("--runtime"), directory, option("--probe"))
    yield made
    made.clean()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    result: Any = yield
    report = result.get_result()
    path = item.config.getoption("--results")
    if not path or not (report.when == "call" or (report.when == "setup" and report.skipped)):
        if path and report.when != "call" and report.failed:
            _write(path, item, "broken", "the case can be set up and cleaned", report.longreprtext)
        return
    error = call.excinfo.value if call.excinfo else None
    if error is None:
        _write(path, item, "kept")
    elif isinstance(error, Lenient):
        _write(path, item, "lenient", "an error", str(error))
    elif isinstance(error, Broken):
        _write(path, item, "broken", error.expected, error.seen)
    elif isinstance(error, pytest.skip.Exception):
        _write(path, item, "not run", "", str(error))
    else:
        _write(path, item, "broken", "the case can be run", f"{type(error).__name__}: {error}")


def _write(path: Path, item: pytest.Item, outcome: str, expected: str = "", seen: str = "") -> None:
    clause = item.get_closest_marker("clause").kwargs["clause"]  # type: ignore[union-attr]
    line = {
        "case": case_name(item), "clause": clause.name, "place": clause.place,
        "text": clause.text, "outcome": outcome, "expected": expected, "seen": seen,
    }  # fmt: skip
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")


def pytest_collection_finish(session: pytest.Session) -> None:
    """With --collect-only: the cases alone, for the table of clauses."""
    path = session.config.getoption("--results")
    if session.config.option.collectonly and path:
        for item in session.items:
            _write(path, item, "not run")
