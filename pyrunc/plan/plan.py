# SPDX-License-Identifier: Apache-2.0
"""What a plan is: its steps, and what its interpreter is started with; pure."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import Any

from pyrunc.errors import one_line
from pyrunc.plan import explain, symbols
from pyrunc.plan.steps import Step
from pyrunc.spec.model_linux import IDMapping


@dataclass(slots=True)
class JoinedNamespace:
    """A namespace that exists: the parent opens it and passes it in a register."""

    register: int
    path: str
    kind: str
    pointer: str


@dataclass(slots=True)
class IdMapped:
    """A bind mount whose owners are mapped, for the parent to make.

    Attributes:
        source: path on the host.
        tree: all mounts below it too (rbind).
        deep: all of them are mapped (ridmap), not only the first.
        uids, gids: the maps.
        namespace: path of the user namespace that holds the maps, in their place.
        pointer: of the mount.
    """

    source: str
    tree: bool
    deep: bool
    uids: tuple[IDMapping, ...]
    gids: tuple[IDMapping, ...]
    namespace: str
    pointer: str


@dataclass(slots=True)
class Finding:
    """What stands against a plan on this host.

    Attributes:
        verdict: "degraded" (it is carried out with less) or "impossible".
        text: what is wrong, and what to do about it.
        pointer: of the property, "" where it is none's.
    """

    verdict: str
    text: str
    pointer: str = ""


@dataclass(slots=True)
class Plan:
    """An ordered list of steps, and what is needed to start its interpreter.

    `str()` is its steps in words, in order, each with the property that asked for it and the
    reason why it stands there, and the host's verdict; `to_json` is the same as data.

    Attributes:
        steps: in order.
        spawn_flags: namespaces that clone3 makes at once.
        joined: the namespaces to open.
        registers: how many registers the steps use.
        passed: how many of them, from 0 on, are filled by the parent.
        idmapped: the mounts that the parent makes for the last of those.
        reasons: why each step stands where it does, if it was asked for (`Options.explained`).
        names: of other registers that the parent fills, for readers.
        before: what the parent does before the first of them, where the host was asked.
        findings: what stands against it on this host; None if that was not asked.
    """

    steps: tuple[Step, ...]
    spawn_flags: int
    joined: tuple[JoinedNamespace, ...]
    registers: int
    passed: int
    idmapped: tuple[IdMapped, ...] = ()
    reasons: tuple[str, ...] = ()
    names: tuple[tuple[int, str], ...] = ()
    before: tuple[str, ...] = ()
    findings: tuple[Finding, ...] | None = None

    @property
    def verdict(self) -> str:
        """The host's: ok, degraded, impossible; or unknown, if it was not asked."""
        if self.findings is None:
            return "unknown"
        found = {finding.verdict for finding in self.findings}
        return next((word for word in ("impossible", "degraded") if word in found), "ok")

    def lines(self) -> list[explain.PlanLine]:
        """The steps in words."""
        return explain.lines(self.steps, self._names(), self.reasons)

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "before": list(self.before),
            "namespaces": symbols.namespaces(self.spawn_flags),
            "steps": [
                {**line._asdict(), "verdict": self._verdict_of(line.pointer)}
                for line in self.lines()
            ],
            "verdict": self.verdict,
            "findings": [asdict(finding) for finding in self.findings or ()],
        }

    def diff(self, other: Plan) -> str:
        """What changes from this plan to another: its lines, as diff(1) marks them."""
        before, after = (
            [f"{line.text}  [{line.pointer}]" for line in plan.lines()] for plan in (self, other)
        )
        found = difflib.unified_diff(before, after, lineterm="", n=0)
        return "".join(f"{line}\n" for line in found if line[:2] not in ("--", "++", "@@"))

    def __str__(self) -> str:
        made = symbols.namespaces(self.spawn_flags)
        start = f"start pyrunc-init{' in new namespaces: ' + ' '.join(made) if made else ''}"
        text = [*(f"before: {one}" for one in self.before), start]
        why = ""
        for line in self.lines():
            asked = f"  [{line.pointer}]" if line.pointer else ""
            text.append(f"{line.number:3}. {line.text}{asked}")
            if line.why and line.why != why:
                text.append(f"       {line.why}")
            why = line.why
        if self.findings is not None:
            text.append(f"verdict of this host: {self.verdict}")
        for finding in self.findings or ():
            where = f"{finding.pointer}: " if finding.pointer else ""
            text.append(f"  {finding.verdict}: {where}{finding.text}")
        # Names come from config.json.
        return "\n".join(map(one_line, text))

    def _verdict_of(self, pointer: str) -> str:
        """Of the findings about a property, one within it or one that it is within."""
        near = [
            finding.verdict
            for finding in self.findings or ()
            if pointer
            and finding.pointer
            and (
                f"{pointer}/".startswith(f"{finding.pointer}/")
                or f"{finding.pointer}/".startswith(f"{pointer}/")
            )
        ]
        return max(near, default="unknown" if self.findings is None else "ok")

    def _names(self) -> dict[int, str]:
        """What the registers hold that the creator fills."""
        first = self.passed - len(self.idmapped)
        mapped = {first + i: f"{one.source}, id-mapped" for i, one in enumerate(self.idmapped)}
        return {one.register: one.path for one in self.joined} | mapped | dict(self.names)
