# SPDX-License-Identifier: Apache-2.0
"""What a row of known.py and known_crun.py is, and on which of two hosts we are: one of hybrid
cgroups with runc 1.1.5, or the guest (cgroup v2, all mounts shared, runc 1.1.15, crun 1.21)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from tests.lib import support


@dataclass(frozen=True)
class Difference:
    """One known difference between a peer and pyrunc.

    Attributes:
        reason: why it is right that pyrunc differs.
        peer: a pattern over the lines of the peer's probe; or over a message, with `refuses`.
        pyrunc: what stands there in pyrunc's.
        cases: names of CASES or OTHERS where it shows; () is everywhere where the lines match.
        unless: where it does not, although they match.
        refuses: who refuses the bundle, the other one runs it: "peer" or "pyrunc"; `peer` is then
            a text in that one's message.
        on: "v1" or "v2", or a version of runc: only there.
        spec: who follows the specification: "both" where it leaves the choice, or "pyrunc".
    """

    reason: str
    peer: str
    pyrunc: str | Callable[[re.Match[str]], str] = ""
    cases: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    refuses: str = ""
    on: str = ""
    spec: str = ""


class Known:
    """One peer's list."""

    def __init__(self, *differences: Difference) -> None:
        self.differences = differences

    def rows(self, name: str) -> list[Difference]:
        """The differences of a case, on this host."""
        return [
            row
            for row in self.differences
            if (not row.cases or name in row.cases)
            and name not in row.unless
            and (not row.on or row.on in HERE)
        ]

    def rewritten(self, lines: list[str], name: str) -> tuple[list[str], list[Difference]]:
        """The peer's lines with a case's differences in them; and the rows that applied."""
        text, used = "\n".join(lines) + "\n", []
        for row in self.rows(name):
            if row.refuses:
                continue
            text, count = re.subn(row.peer, row.pyrunc, text, flags=re.MULTILINE)
            if count:
                used.append(row)
            assert count or not row.cases, f"listed, but not there: {row.reason}"
        return text.splitlines(), used

    def expected(self, lines: list[str], name: str) -> list[str]:
        return self.rewritten(lines, name)[0]


def here() -> set[str]:
    """What `on` can name."""
    if not (runc := shutil.which("runc")):
        return set()
    text = subprocess.run([runc, "--version"], check=True, capture_output=True, text=True).stdout
    return {"v2" if support.V2 else "v1", *re.findall(r"^runc version ([\d.]+)", text)}


HERE = here()
