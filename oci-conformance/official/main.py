# SPDX-License-Identifier: Apache-2.0
"""The command line, and the table of runtimes side by side."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from official import expected
from official.programs import Outcome, Runner, names

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str]) -> int:
    """Run the suite; 1 if the first runtime fails a program that it is expected to pass, or passes
    one that cannot.
    """
    options = _options(argv)
    suite: Path = options.suite.resolve()
    found = names(suite)
    if not found or not (suite / "runtimetest").exists():
        print(f"{suite}: build it first: make runtimetest validation-executables", file=sys.stderr)
        return 2
    runtimes = []
    for given in options.runtime:
        path = shutil.which(given)
        if path is None:
            print(f"{given}: no such program", file=sys.stderr)
            return 2
        runtimes.append(os.path.abspath(path))
    reasons = expected.read(HERE / "expected.toml")
    runner = Runner(suite, options.seconds)
    rows = []
    for name in found:
        if options.only and name not in options.only:
            continue
        outcomes = [runner.run(name, runtime) for runtime in runtimes]
        reason = reasons.get(name)
        rows.append((name, outcomes, reason if reason and host() in reason.hosts else None))
        print(line(*rows[-1]), flush=True)
    print(summary(rows, [os.path.basename(runtime) for runtime in options.runtime]))
    return 1 if any(judged(row[1][0], row[2]) for row in rows) else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="runtime-tools", description="Run the suite of opencontainers/runtime-tools."
    )
    parser.add_argument("--suite", type=Path, required=True, help="a checkout that has been built")
    parser.add_argument("--runtime", action="append", required=True, help="several: side by side")
    parser.add_argument("--only", action="append", help="a program's name")
    parser.add_argument("--seconds", type=float, default=60, help="for one program")
    return parser.parse_args(argv)


def host() -> str:
    """Which cgroups the host has, as the suite sees them: "v1" (also hybrid) or "v2"."""
    return "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1"


def judged(outcome: Outcome, reason: expected.Expectation | None) -> str:
    """What is not as it is expected to be, or ""."""
    if outcome.word == "pass":
        stale = reason is not None and not reason.sometimes
        return "passes, and expected.toml says that it cannot" if stale else ""
    return "" if reason else f"is expected to pass: {outcome.detail or outcome.word}"


def line(name: str, outcomes: list[Outcome], reason: expected.Expectation | None) -> str:
    """A row of the table."""
    words = "  ".join(f"{outcome.word:8}" for outcome in outcomes)
    wrong = judged(outcomes[0], reason)
    why = f"{reason.kind}: {reason.reason}" if reason else ""
    return f"{name:36} {words}  {f'!! {wrong}' if wrong else why}".rstrip()


def summary(
    rows: list[tuple[str, list[Outcome], expected.Expectation | None]], runtimes: list[str]
) -> str:
    """How many have passed with each."""
    counts = []
    for index, runtime in enumerate(runtimes):
        passed = sum(outcomes[index].word == "pass" for _, outcomes, _ in rows)
        counts.append(f"{runtime}: {passed} of {len(rows)} pass")
    return "\n".join(("", *counts))
