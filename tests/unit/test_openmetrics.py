# SPDX-License-Identifier: Apache-2.0
"""observe.metrics: text that a scraper of OpenMetrics takes."""

from __future__ import annotations

import re

from pyrunc.cgroups import stats as s
from pyrunc.observe.metrics import Observed, openmetrics

# OpenMetrics 1.0, as far as it is written here.
META = re.compile(r"# (TYPE [a-z_]+ (counter|gauge|stateset)|UNIT [a-z_]+ [a-z]+|HELP [a-z_]+ .+)")
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"([a-z_]+)\{{({LABEL}(?:,{LABEL})*)\}} (-?[0-9.e+-]+|\+Inf)")


def parsed(text: str) -> dict[str, float]:
    """The samples; each belongs to the family above it."""
    *lines, end, nothing = text.split("\n")
    assert (end, nothing) == ("# EOF", "")
    found: dict[str, float] = {}
    family, kind = "", ""
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split()
        if line.startswith("#"):
            assert META.fullmatch(line), line
            assert line.split()[2] == family
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert match[1] == family + ("_total" if kind == "counter" else "")
        assert f"{match[1]}{{{match[2]}}}" not in found
        found[f"{match[1]}{{{match[2]}}}"] = float(match[3])
    return found


def test_no_containers() -> None:
    assert parsed(openmetrics([])) == {}


def test_what_a_container_has_used() -> None:
    used = s.Stats(
        cpu=s.Cpu(user=1_500_000_000, kernel=250_000_000, periods=7, throttled=10_000_000,
                  pressure=s.Pressure(some=s.PressureLine(total=2_000_000))),
        memory=s.Memory(usage=s.Usage(usage=4096, max=8192, limit=s.NO_LIMIT),
                        events={"oom_kill": 2, "max": 3}),
        pids=s.Pids(current=5, limit=0),
        io=s.Io(service_bytes=[s.IoEntry(major=8, minor=0, op="Read", value=512),
                               s.IoEntry(major=8, minor=0, op="Total", value=512)]),
    )  # fmt: skip
    found = parsed(openmetrics([Observed(id="web", status="running", stats=used)]))
    expected = {
        'pyrunc_container{id="web",pyrunc_container="running"}': 1,
        'pyrunc_container{id="web",pyrunc_container="paused"}': 0,
        'pyrunc_cpu_seconds_total{id="web",mode="user"}': 1.5,
        'pyrunc_cpu_seconds_total{id="web",mode="system"}': 0.25,
        'pyrunc_cpu_periods_total{id="web"}': 7,
        'pyrunc_cpu_throttled_seconds_total{id="web"}': 0.01,
        'pyrunc_memory_bytes{id="web"}': 4096,
        'pyrunc_memory_peak_bytes{id="web"}': 8192,
        'pyrunc_memory_limit_bytes{id="web"}': float("inf"),
        'pyrunc_memory_events_total{id="web",event="oom_kill"}': 2,
        'pyrunc_tasks{id="web"}': 5,
        'pyrunc_io_bytes_total{id="web",device="8:0",operation="read"}': 512,
        'pyrunc_pressure_seconds_total{id="web",resource="cpu",tasks="some"}': 2,
    }
    assert expected.items() <= found.items()
    # No limit is no number, and v1's totals are those of the operations beside them.
    assert not any(name.startswith("pyrunc_tasks_limit") for name in found)
    assert sum(name.startswith("pyrunc_io_bytes") for name in found) == 1


def test_a_container_that_has_stopped_has_its_state_only() -> None:
    found = parsed(openmetrics([Observed(id="a", status="stopped", stats=None)]))
    assert len(found) == 4
    assert sum(found.values()) == found['pyrunc_container{id="a",pyrunc_container="stopped"}'] == 1


def test_labels_are_escaped() -> None:
    odd = s.Stats(memory=s.Memory(events={'a"b\\c\nd': 1}))
    found = parsed(openmetrics([Observed(id="x", status="running", stats=odd)]))
    assert r'pyrunc_memory_events_total{id="x",event="a\"b\\c\nd"}' in found
