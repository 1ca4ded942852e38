# SPDX-License-Identifier: Apache-2.0
"""docs/conformance.md and explained.toml are about the cases that there are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
SUITE = TOP / "oci-conformance"
COLLECT = "import pool\nfor one in pool.collect().values(): print(one.clause, one.case)"


@pytest.fixture(scope="module")
def cases():
    """The clause of each case."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(SUITE / "suite")},
    )  # fmt: skip
    pairs = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return {case: clause for clause, case in pairs}


def test_there_are_enough(cases):
    assert len(cases) >= 500


def test_the_document_has_every_clause(cases):
    text = (TOP / "docs" / "conformance.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| [^|]+ \| (\d+) \|", text, re.MULTILINE)
    assert {name: int(number) for name, number in rows} == Counter(cases.values())


def test_nothing_is_explained_that_is_no_case(cases):
    known = tomllib.loads((SUITE / "explained.toml").read_text())
    for runtime, explained in known.items():
        for name in explained:
            found = [
                case for case in cases
                if case == name or (name.endswith("*") and case.startswith(name[:-1]))
            ]  # fmt: skip
            assert found, f"{runtime}: {name}"
