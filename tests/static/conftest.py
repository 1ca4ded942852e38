# SPDX-License-Identifier: Apache-2.0
"""The static executable (docs/static.md): asked for by `make test-static`, which builds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
COMMAND = TREE / "dist" / "pyrunc"
WORK = TREE / "build" / "static"


def reason() -> str:
    if os.environ.get("PYRUNC_TEST_STATIC") != "1":
        return "make test-static asks for it"
    return "" if COMMAND.exists() else "needs dist/pyrunc: make static"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if reason() and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason()))


@pytest.fixture
def command() -> Path:
    return COMMAND


@pytest.fixture
def work() -> Path:
    """Where tools/static/build.py keeps the seed and what it was given."""
    if not (WORK / "seed").exists():
        pytest.skip("needs build/static, which the build leaves")
    return WORK
