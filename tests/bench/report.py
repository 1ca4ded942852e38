# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md from what was measured."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path

from rounds import Results, load_average

from pyrunc import cgroups

# what, in words; (what pyrunc does, what a peer does); the budget against whom.
ROWS = (
    ("`create`", "create", "create", {}),
    ("`start`", "start", "start", {"runc": 1.0}),
    ("`state`", "state", "state", {"runc": 1.0}),
    ("`kill`", "kill", "kill", {"runc": 1.0}),
    ("`delete`", "delete", "delete", {"runc": 1.0}),
    ("`exec` of `/bin/true`", "exec", "exec", {"runc": 1.0}),
    ("`exec --detach`", "exec-d", "exec-d", {"runc": 1.0}),
    ("`ps --format json`", "ps", "ps", {"runc": 1.0}),
    ("`events --stats`", "events", "events", {"runc": 1.0}),
    ("`pause`", "pause", "pause", {}),
    ("`resume`", "resume", "resume", {}),
    ("`create` + `start` + `delete`", "cycle", "cycle", {"runc": 1.0}),
    ("`run` of `/bin/true`", "run", "run", {}),
    ("the library in one process, against `run`", "library", "run", {"crun": 1.0}),
    ("peak memory of `create`", "peak", "peak", {"runc": 1.5}),
    ("private memory of a created container", "parked", "parked", {"crun": 1.0}),
)
MEMORY = ("peak", "parked")


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Ratio of the medians; 10th and 90th percentile of the rounds' own ratios."""
    pairs = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    cuts = statistics.quantiles(pairs, n=10, method="inclusive") if len(pairs) > 1 else pairs * 9
    return statistics.median(ours) / statistics.median(theirs), cuts[0], cuts[-1]


def document(results: Results, versions: dict[str, str], rounds: int, notes: list[str]) -> str:
    peers = [name for name in versions if name != "pyrunc"]
    parts = [_head(rounds), _ratios(results, peers), _medians(results, ["pyrunc", *peers])]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    return "\n".join([*parts, _host(versions)])


def _head(rounds: int) -> str:
    return f"""# Benchmarks

Written by `make bench` (`tests/bench/bench.py`); do not edit. {rounds} rounds; in each, every
runtime did the same in turn, on the same bundle (what `runc spec` writes, without a terminal; a
busybox tree), with standard streams on `/dev/null`.

A ratio below 1 says that pyrunc took less. It is the ratio of the medians; in brackets the 10th
and the 90th percentile of the ratios within a round. **met** and **missed** are about the budgets
of the design. Ratios of another machine, kernel or version will differ; only what is
measured there counts there.

## pyrunc against its peers
"""


def _ratios(results: Results, peers: list[str]) -> str:
    lines = ["| | " + " | ".join(f"against {peer}" for peer in peers) + " |"]
    lines.append("|---|" + "---|" * len(peers))
    for title, ours, theirs, budgets in ROWS:
        cells = [_cell(results, ours, theirs, peer, budgets.get(peer)) for peer in peers]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(results: Results, ours: str, theirs: str, peer: str, budget: float | None) -> str:
    if peer not in results.values[theirs]:
        return "has no such command"
    middle, low, high = ratio(results.values[ours]["pyrunc"], results.values[theirs][peer])
    cell = f"{middle:.2f} ({low:.2f}-{high:.2f})"
    if budget is None:
        return cell
    return f"{cell}, budget {budget:.1f} **{'met' if middle <= budget else 'missed'}**"


def _medians(results: Results, runtimes: list[str]) -> str:
    lines = [
        "## Medians, for information",
        "",
        "Milliseconds, or KB for memory. They hold for this machine in this hour.",
        "",
        "| | " + " | ".join(runtimes) + " |",
        "|---|" + "---|" * len(runtimes),
    ]
    for title, ours, theirs, _ in ROWS:
        keys = [ours if runtime == "pyrunc" else theirs for runtime in runtimes]
        if ours != theirs:
            keys = [ours] * len(runtimes)
        found = [results.values[key].get(name) for key, name in zip(keys, runtimes, strict=True)]
        unit = "{:.0f} KB" if ours in MEMORY else "{:.2f} ms"
        cells = [unit.format(statistics.median(values)) if values else "" for values in found]
        lines.append(f"| {title.partition(',')[0]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _host(versions: dict[str, str]) -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "kernel": f"{platform.release()}, {platform.machine()}",
        "processors": f"{os.cpu_count()} x {models[0] if models else 'unknown'}",
        "load at the end": load_average(),
        "cgroups": cgroups.detect().kind,
        "Python": platform.python_version(),
        **versions,
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join(["## The host", "", "| | |", "|---|---|", *rows]) + "\n"
