# SPDX-License-Identifier: Apache-2.0
"""runc and pyrunc side by side."""

from __future__ import annotations

import shutil
import subprocess

import differ
import pytest
import support


@pytest.fixture(scope="session")
def probe():
    if reason := support.needs_root():
        pytest.skip(reason)
    for program in ("runc", "cc", "unshare"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    version = subprocess.run(["runc", "--version"], check=True, capture_output=True, text=True)
    if "runc version 1.1." not in version.stdout:
        pytest.skip("the list of differences is about runc 1.1")
    return differ.build_probe()


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
