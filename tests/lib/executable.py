# SPDX-License-Identifier: Apache-2.0
"""The static executable that the tests ask, and the guest gets."""

from __future__ import annotations

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PATH = TOP / "dist" / "pyrunc"
_SOURCES = ("pyrunc", "csrc/core", "csrc/image", "csrc/init", "tools/static")
_KINDS = (".py", ".c", ".h", ".sh", ".json", ".cdef")


def what_is_newer() -> str:
    """A source that the executable is not of, or ""."""
    built = PATH.stat().st_mtime if PATH.exists() else 0
    for name in _SOURCES:
        for path in (TOP / name).rglob("*"):
            if path.suffix in _KINDS and path.stat().st_mtime > built:
                return os.path.relpath(path, TOP)
    return ""
