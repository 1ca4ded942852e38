# SPDX-License-Identifier: Apache-2.0
"""The static executable (docs/static.md) itself; as the command all other tests ask it."""

from __future__ import annotations

from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
COMMAND = TREE / "dist" / "pyrunc"
WORK = TREE / "build" / "static"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if not COMMAND.exists() and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs dist/pyrunc: make static"))


@pytest.fixture
def command() -> Path:
    return COMMAND


@pytest.fixture
def work() -> Path:
    """Where tools/static/build.py keeps the seed and what it was given."""
    library = WORK / "library"
    if not library.exists() or not Path(library.read_text()).exists():
        pytest.skip("needs build/static, and the libraries it was made of: make static")
    return WORK
