# SPDX-License-Identifier: Apache-2.0
"""A course in an engine: what a person types, and what has to come of it.

The courses are the text files beside this one. `# NAME` begins a chapter, `## NAME` a step. A step
is a script for `sh -eu` and then what is expected of it: `> LINE` are regular expressions for the
lines of its standard output, `! REGEX` is to be found in its standard error, `= N` is its exit
code, and `~ REASON` says why two runtimes need not say the same. `$image` and `$runtime` are there.

Each step has an expected result of its own: two runtimes that fail alike have not succeeded. And
each is compared with what the engine's usual runtime does.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A step that waits does so for a condition, asked again and again.
PRELUDE = """
until_ok() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1)); [ $tries -lt 300 ] || { echo "never: $*" >&2; return 1; }
        sleep 0.2
    done
}
until_said() {
    said=$1; shift; tries=0
    until [ "$("$@" 2>&1)" = "$said" ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { echo "not $said: $("$@" 2>&1)" >&2; return 1; }
        sleep 0.2
    done
}
"""
_IDS = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")
_TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?")
SECONDS = 120


@dataclass(slots=True)
class Step:
    """One thing to do.

    Args:
        name: what it shows, a few words.
        script: for sh -eu.
        out: regular expression for all of its standard output, without the last newline.
        err: one that is to be found in its standard error; "" is not looked for.
        code: exit code.
        differs: why the two runtimes need not say the same, or "".
    """

    name: str
    script: str = ""
    out: str = ""
    err: str = ""
    code: int = 0
    differs: str = ""


def read(path: Path) -> dict[str, list[Step]]:
    """The chapters of a course, each with its steps in their order."""
    chapters: dict[str, list[Step]] = {}
    steps: list[Step] = []
    for line in path.read_text().splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "#":
            steps = chapters.setdefault(rest, [])
        elif mark == "##":
            steps.append(Step(rest))
        elif mark == ">":
            steps[-1].out += ("\n" if steps[-1].out else "") + rest
        elif mark == "!":
            steps[-1].err = rest
        elif mark == "=":
            steps[-1].code = int(rest)
        elif mark == "~":
            steps[-1].differs = rest
        elif line:
            steps[-1].script += line + "\n"
    return chapters


@dataclass(slots=True, frozen=True)
class Outcome:
    """What came of a step: streams without ids and times, and the exit code."""

    out: str
    err: str
    code: int

    def wrong(self, step: Step) -> str:
        """What is not as it should be, or ""."""
        if self.code != step.code:
            return f"exit code {self.code}, not {step.code}: {self.err or self.out}"
        if not re.fullmatch(step.out, self.out.rstrip("\n"), re.DOTALL):
            return f"standard output {self.out!r} is not {step.out!r} ({self.err})"
        if step.err and not re.search(step.err, self.err):
            return f"standard error {self.err!r} has no {step.err!r}"
        return ""


def play(steps: Sequence[Step], prelude: str, slow: float, **environment: str) -> list[Outcome]:
    """Do all steps, in order, also after one that has failed."""
    return [_do(step, prelude, slow, environment) for step in steps]


def _do(step: Step, prelude: str, slow: float, environment: dict[str, str]) -> Outcome:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    options: dict[str, Any] = {"env": {"PATH": path, "LC_ALL": "C.UTF-8", **environment}}
    try:
        done = subprocess.run(
            ["sh", "-euc", PRELUDE + prelude + step.script],
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=SECONDS * slow, **options,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Outcome("", "timed out", -1)
    return Outcome(alike(done.stdout), alike(done.stderr), done.returncode)


def alike(text: str) -> str:
    """Without what differs from one run to the next."""
    return _TIMES.sub("TIME", _IDS.sub("ID", text))
