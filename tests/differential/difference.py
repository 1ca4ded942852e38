# SPDX-License-Identifier: Apache-2.0
"""What a row of known.py is, and on which of two hosts we are: one of hybrid cgroups with runc
1.1.5, or the guest (cgroup v2, all mounts shared, runc 1.1.15)."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

import support


@dataclass(frozen=True)
class Difference:
    """One known difference.

    Attributes:
        reason: why it is right that pyrunc differs.
        runc: a pattern over the lines of runc's probe, or over its message when it refuses.
        pyrunc: what stands there in pyrunc's.
        cases: names of CASES or OTHERS where it shows; () is everywhere where runc's lines match.
        unless: where it does not, although they match.
        refused: runc refuses the bundle; pyrunc runs it.
        on: "v1" or "v2", or a version of runc: only there.
    """

    reason: str
    runc: str
    pyrunc: str = ""
    cases: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    refused: bool = False
    on: str = ""


def here() -> set[str]:
    """What `on` can name."""
    if not (runc := shutil.which("runc")):
        return set()
    text = subprocess.run([runc, "--version"], check=True, capture_output=True, text=True).stdout
    return {"v2" if support.V2 else "v1", *re.findall(r"^runc version ([\d.]+)", text)}


HERE = here()
