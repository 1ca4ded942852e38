# SPDX-License-Identifier: Apache-2.0
"""Each setting of cgroup_settings under runc and pyrunc: no difference without a reason.

On the bare host for v1; in the test guest (tests/guest) for v2 with the fs driver and with
systemd's, where it takes minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.differential import cgroup_settings, cgroup_table, compare_cgroups
from tests.lib import support
from tests.lib.cgroup_tools import V2, guest

NAMES = list(cgroup_settings.settings(0, 0))


def drivers() -> list[str]:
    return ["fs", "systemd"] if os.path.isdir("/run/systemd/system") else ["fs"]


@pytest.fixture(scope="module", params=drivers())
def comparison(request, peer):
    made = compare_cgroups.Comparison(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("name", NAMES)
def test_setting(comparison, name):
    assert comparison.row(name)["unexplained"] == []


def test_every_known_difference_has_shown(comparison):
    if len(comparison.rows) < len(NAMES):
        pytest.skip("not all settings were run")
    assert comparison.stale() == []


@pytest.mark.parametrize(
    "view",
    [
        pytest.param("rare", marks=guest),
        pytest.param("v2", marks=pytest.mark.skipif(V2, reason="this is cgroup v2 already")),
    ],
)
def test_views(peer, view):
    command = [sys.executable, "-m", compare_cgroups.__name__, "--view", view]
    done = subprocess.run(command, cwd=support.TOP, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differences unexplained" in done.stdout


def test_there_are_settings_of_every_kind():
    table = cgroup_settings.settings(8, 0)
    assert len(table) >= 60
    assert len([name for name, setting in table.items() if setting.refused]) >= 15
    for known in cgroup_settings.DIFFERENCES:
        assert set(known.settings) <= set(table), known.reason
        assert bool(known.files) != bool(known.refused), known.reason


def test_the_document_is_the_one_that_the_results_make():
    results = cgroup_table.kept()
    assert {result["kind"] for result in results} == set(cgroup_settings.ALL)
    for result in results:
        names = cgroup_settings.names(result["kind"])
        assert list(result["rows"]) == names, f"{result['kind']}: run compare_cgroups.py again"
        assert not [row for row in result["rows"].values() if row["unexplained"]]
    assert cgroup_table.DOCUMENT.read_text() == cgroup_table.document(results)
