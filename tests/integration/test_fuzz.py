# SPDX-License-Identifier: Apache-2.0
"""A sample of `make fuzz`: the executable and the plain command say the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.lib import support


def test_both_commands_say_the_same(tmp_path):
    if reason := support.needs_root():
        pytest.skip(reason)
    if not support.IS_EXECUTABLE or not os.path.exists(support.PLAIN):
        pytest.skip("there is one command only: make static makes the other")
    lines = str(600 // support.EVERY)
    line = [sys.executable, "-m", "tests.fuzz.fuzz", "--lines", lines]
    done = subprocess.run(
        [*line, "--executable", support.PYRUNC], cwd=support.TOP, check=False,
        capture_output=True, text=True, timeout=300 * support.SLOW,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 differences" in done.stdout
    # Not all of them may have failed alike.
    assert "create" in done.stdout
    assert "exec" in done.stdout
