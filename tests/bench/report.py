# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md from what was measured."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyrunc import cgroups
from tests.bench.rounds import EVERY, Results, load_average
from tests.bench.worker import Cost

# What in words; its key; the peer that the budget is about, and how much of its processor time.
TIMES = (
    ("`create`", "create", "crun", 1.05),
    ("`start`", "start", "crun", 0.6),
    ("`state`", "state", "crun", 0.6),
    ("`kill`", "kill", "crun", 0.6),
    ("`delete`", "delete", "crun", 0.6),
    ("the five above together", "life", "crun", 0.68),
    ("`exec` of `/bin/true`", "exec", "crun", 0.9),
    ("`exec --detach`", "exec-d", "crun", 0.9),
    ("`run` of `/bin/true`", "run", "crun", 1.1),
    ("`ps --format json`", "ps", "crun", 0.6),
    ("`pause`", "pause", "crun", 0.6),
    ("`resume`", "resume", "crun", 0.6),
    ("`list` of 5", "list", "crun", 0.6),
    ("`list` of 1,001", "list-1000", "crun", 2.0),
    ("`create` beside 1,000", "create-1000", "crun", 1.05),
    ("`events --stats`", "events", "runc", 0.5),
    ("`create` as docker's", "docker", "crun", 1.1),
    ("the same, filter to be compiled", "docker-cold", "crun", 1.5),
)
RATES = (
    ("50 `create` at once", "creates", "a second"),
    ("50 `exec` at once", "execs", "a second"),
)
MEMORY = (
    ("peak memory of `create`", "peak", "KB"),
    ("private memory of a created container", "parked", "KB"),
)
# What was promised of the clock: as of the processor, and a little.
_WALL = 0.1


def document(results: Results, versions: dict[str, str], rounds: int, notes: list[str]) -> str:
    runtimes = list(versions)
    parts = [_head(rounds), _ratios(results, runtimes), _medians(results, runtimes)]
    parts += ["\n".join(f"- {note}" for note in notes) + "\n"] if notes else []
    return "\n".join([*parts, _host(versions)])


def _head(rounds: int) -> str:
    return f"""# Benchmarks

Written by `make bench` (`tests/bench/bench.py`); do not edit. {rounds} rounds; in each, all did the
same in turn, on the same bundle (what `runc spec` writes, without a terminal; a busybox tree), with
standard streams on `/dev/null`. As docker's: with its filter, device rules, masked paths and 20
mounts. `pyrunc` is the executable, `plain` the same command as an ordinary Python program,
in every fourth round.

**CPU** is user and system time of the command, and of the container's first process until it waits
or runs its program; **wall** the time until the command ends. A ratio below 1 says that we took
less: of the medians; in brackets the 10th and the 90th percentile of the ratios within a round.
*At most* is the budget for CPU, against crun unless it says runc; wall may be {_WALL} more. Ratios
of another machine, kernel or version will differ; only what is measured there counts there.

## Against the peers
"""


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Ratio of the medians; 10th and 90th percentile of the rounds' own ratios."""
    pairs = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    cuts = statistics.quantiles(pairs, n=10, method="inclusive") if len(pairs) > 1 else pairs * 9
    return statistics.median(ours) / statistics.median(theirs), cuts[0], cuts[-1]


def _ratios(results: Results, runtimes: list[str]) -> str:
    peers = [name for name in ("crun", "runc") if name in runtimes]
    heads = [f"{what} / {peer}" for peer in peers for what in ("CPU", "wall")]
    heads += ["at most", *(f"plain: CPU / {peer}" for peer in peers)]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for title, key, whom, budget in TIMES:
        found = results.values.get(key)
        if found is None:
            continue
        cells = [_cell(found, "pyrunc", peer, part) for peer in peers for part in ("cpu", "wall")]
        cells.append(_judged(found, whom, budget))
        cells += [_cell(found, "plain", peer, "cpu") for peer in peers]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _part(values: list[Cost], part: str) -> list[float]:
    return [getattr(value, part) for value in values]


def _cell(found: dict[str, list[Any]], ours: str, peer: str, part: str) -> str:
    if peer not in found or ours not in found:
        return ""
    theirs = found[peer]
    if len(theirs) != len(found[ours]):  # of the rounds that the plain command took part in
        theirs = theirs[::EVERY]
    middle, low, high = ratio(_part(found[ours], part), _part(theirs, part))
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _judged(found: dict[str, list[Any]], whom: str, budget: float) -> str:
    if whom not in found:
        return f"{budget:g}"
    missed = [
        part
        for part, allowed in (("cpu", budget), ("wall", budget + _WALL))
        if ratio(_part(found["pyrunc"], part), _part(found[whom], part))[0] > allowed
    ]
    of = "" if whom == "crun" else f" of {whom}"
    return f"{budget:g}{of} " + (f"**missed** ({', '.join(missed)})" if missed else "met")


def _medians(results: Results, runtimes: list[str]) -> str:
    lines = [
        "## Medians, for information",
        "",
        "Milliseconds of CPU / wall. They hold for this machine in this hour.",
        "",
        "| | " + " | ".join(runtimes) + " |",
        "|---|" + "---|" * len(runtimes),
    ]
    for title, key, _, _ in TIMES:
        found = results.values.get(key, {})
        cells = [_times(found.get(name)) for name in runtimes]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    for title, key, unit in (*RATES, *MEMORY):
        found = results.values[key]
        cells = [
            f"{statistics.median(found[name]):.0f} {unit}" if name in found else ""
            for name in runtimes
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    library = _times(results.values["library"]["library"])
    lines += ["", f"The library in one process, what `run` of `/bin/true` does: {library}."]
    ours, bare = (results.values[what]["library"] for what in ("import", "no import"))
    times = ratio(_part(ours, "cpu"), _part(bare, "cpu"))[0]
    lines.append(
        f"`python -c 'import pyrunc'`: {_times(ours)}, {times:.1f} of `python -c pass` by CPU."
    )
    return "\n".join(lines) + "\n"


def _times(values: list[Cost] | None) -> str:
    if not values:
        return ""
    cpu, wall = (statistics.median(_part(values, part)) for part in ("cpu", "wall"))
    return f"{cpu:.2f} / {wall:.2f}"


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
        **versions,
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join(["## The host", "", "| | |", "|---|---|", *rows]) + "\n"
