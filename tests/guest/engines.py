# SPDX-License-Identifier: Apache-2.0
"""What the tests with engines share. Engines do not run until a test starts them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.lib import support

IMAGE = "busybox:test"


def command(*words: str, **options) -> str:
    """A command that has to succeed; its output."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60 * support.SLOW, **options
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def busybox_tree(path: Path) -> Path:
    """A root file system for an engine's image: there is no network to pull one from."""
    (path / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", path / "bin")
    for applet in support.APPLETS:
        (path / "bin" / applet).symlink_to("busybox")
    return path
