# SPDX-License-Identifier: Apache-2.0
"""runc, crun and pyrunc side by side."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.differential import differ
from tests.lib import support


@pytest.fixture(scope="session")
def peer():
    """runc, of the version that the lists of differences are about."""
    if reason := support.lacks_runc():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def probe(peer):
    for program in ("cc", "unshare"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    return differ.build_probe()


@pytest.fixture(scope="session")
def crun():
    """Why there is nothing to compare with crun here, or "". The guest has what it takes."""
    if not support.V2:
        return "crun wants a host of cgroup v2 alone"
    if not shutil.which("crun"):
        return "needs crun"
    version = subprocess.run(["crun", "--version"], check=True, capture_output=True, text=True)
    if "crun version 1.21\n" in version.stdout:
        return ""
    assert not support.GUEST, version.stdout
    return "the list of differences is about crun 1.21"


@pytest.fixture(scope="session")
def template():
    return support.default_config()


@pytest.fixture
def pair(probe, template):
    made = differ.Pair(probe, template)
    try:
        yield made
    finally:
        made.close()
