# SPDX-License-Identifier: Apache-2.0
"""Which programs cannot pass on which host, with the reason: expected.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = {
    "vacuous": "prints no point that could pass or fail",
    "broken": "the program itself is wrong, and fails for every runtime or by chance",
    "contradicts": "asks for what the specification, or every engine, does not want",
    "hardware": "needs a device or a kernel facility that the host does not have",
    "v1": "reads the files of cgroup v1",
}
_KEYS = {"kind", "reason", "evidence", "hosts", "sometimes"}


@dataclass(frozen=True)
class Expectation:
    """Why a program is not expected to pass.

    Attributes:
        program: its name.
        kind: one of KINDS.
        reason: in a sentence.
        evidence: how that is known: a line of its source, an issue, what all runtimes do.
        hosts: "v1" (also hybrid) and "v2", where it holds.
        sometimes: it passes at times, which does not make this stale.
    """

    program: str
    kind: str
    reason: str
    evidence: str
    hosts: tuple[str, ...]
    sometimes: bool


def read(path: Path) -> dict[str, Expectation]:
    """Read the file.

    Raises:
        ValueError: an entry is incomplete.
    """
    return decode(tomllib.loads(path.read_text(encoding="utf-8")))


def decode(document: dict[str, Any]) -> dict[str, Expectation]:
    """The entries of a document, by program.

    Raises:
        ValueError: an entry lacks something, or has something unknown.
    """
    found = {}
    for name, entry in document.items():
        if not isinstance(entry, dict) or set(entry) - _KEYS:
            raise ValueError(f"{name}: unknown members {sorted(set(entry) - _KEYS)}")
        for member in ("kind", "reason", "evidence"):
            if not isinstance(entry.get(member), str) or not entry[member].strip():
                raise ValueError(f"{name}: {member} is missing")
        if entry["kind"] not in KINDS:
            raise ValueError(f"{name}: kind is one of {', '.join(KINDS)}")
        hosts = tuple(entry.get("hosts", ("v1", "v2")))
        if not hosts or set(hosts) - {"v1", "v2"}:
            raise ValueError(f"{name}: hosts are v1 and v2")
        found[name] = Expectation(
            name, entry["kind"], entry["reason"], entry["evidence"], hosts,
            bool(entry.get("sometimes", False)),
        )  # fmt: skip
    return found
