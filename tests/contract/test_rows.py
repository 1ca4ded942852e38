# SPDX-License-Identifier: Apache-2.0
"""Every row of the contract: pyrunc's answer is runc's, or has its reason."""

from __future__ import annotations

import fnmatch
import json

import pytest

from tests.contract import reasons, table
from tests.contract.harness import observe
from tests.contract.rows import ROWS
from tests.lib import support


@pytest.fixture(scope="session")
def template():
    if reason := support.lacks_runc():
        pytest.skip(reason)
    return support.default_config()


@pytest.mark.parametrize("name", ROWS)
def test_row(name, template, tmp_path):
    runc = observe(ROWS[name], "runc", tmp_path / "runc", template)
    pyrunc = observe(ROWS[name], support.PYRUNC, tmp_path / "pyrunc", template)
    assert runc
    assert pyrunc
    wanted, found = reasons.rewritten(name, runc, pyrunc)
    assert found == wanted


@pytest.mark.skipif(table.lacks_crun() != "", reason=table.lacks_crun() or "-")
@pytest.mark.parametrize("name", [*ROWS][:: support.EVERY])
def test_crun_differs_where_the_table_says(name, template, tmp_path):
    runc = observe(ROWS[name], "runc", tmp_path / "runc", template)
    crun = observe(ROWS[name], "crun", tmp_path / "crun", template)
    assert table.difference(runc, crun) == json.loads(table.CRUN.read_text())[name]


def test_reasons_name_rows():
    for reason in reasons.REASONS:
        for pattern in reason.rows:
            assert fnmatch.filter(ROWS, pattern), pattern


def test_the_document_is_current():
    assert table.DOCUMENT.read_text() == table.document()
