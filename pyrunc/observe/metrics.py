# SPDX-License-Identifier: Apache-2.0
"""Statistics of many containers as OpenMetrics text, which Prometheus and its like scrape.

Pure: what containers have used in, text out. A number that a host does not count is left out.
Source: the OpenMetrics 1.0 specification (RFC draft-richih-opsawg-openmetrics).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pyrunc.cgroups.stats import Pressure, Stats

# Labels of a sample beside the container's id, and its value.
Sample = tuple[dict[str, str], float]

_NANO = 1e9
_MICRO = 1e6
# v1 says "no limit" by a number of about 2^63, v2 by NO_LIMIT.
_NO_LIMIT = 1 << 62


@dataclass(slots=True, frozen=True, kw_only=True)
class Observed:
    """A container at one moment.

    Args:
        id: its id.
        status: created, running, paused or stopped.
        stats: what it has used; None where there is no cgroup to ask.
    """

    id: str
    status: str
    stats: Stats | None


@dataclass(slots=True, frozen=True)
class _Family:
    """One metric: its name with the unit, its type, what it says, and its samples."""

    name: str
    kind: str
    help: str
    samples: Callable[[Stats], Iterable[Sample]]


def _cpu_modes(stats: Stats) -> list[Sample]:
    cpu = stats.cpu
    return [({"mode": "user"}, cpu.user / _NANO), ({"mode": "system"}, cpu.kernel / _NANO)]


def _limit(value: int) -> list[Sample]:
    return [({}, float("inf") if value >= _NO_LIMIT else value)] if value else []


def _io(name: str) -> Callable[[Stats], Iterable[Sample]]:
    return lambda stats: [
        ({"device": f"{entry.major}:{entry.minor}", "operation": entry.op.lower()}, entry.value)
        for entry in getattr(stats.io, name)
        if entry.op in ("Read", "Write", "Discard")
    ]


def _pressures(stats: Stats) -> Iterator[Sample]:
    resources: dict[str, Pressure | None] = {
        "cpu": stats.cpu.pressure, "memory": stats.memory.pressure, "io": stats.io.pressure,
    }  # fmt: skip
    for resource, pressure in resources.items():
        if pressure is not None:
            for kind, line in (("some", pressure.some), ("full", pressure.full)):
                yield {"resource": resource, "tasks": kind}, line.total / _MICRO


_FAMILIES: Sequence[_Family] = (
    _Family("cpu_seconds", "counter", "CPU time.", _cpu_modes),
    _Family("cpu_periods", "counter", "Periods of the CPU quota with tasks that wanted to run.",
            lambda stats: [({}, stats.cpu.periods)]),
    _Family("cpu_throttled_periods", "counter", "Of these, periods that used up the quota.",
            lambda stats: [({}, stats.cpu.throttled_periods)]),
    _Family("cpu_throttled_seconds", "counter", "Time that tasks have waited for the next period.",
            lambda stats: [({}, stats.cpu.throttled / _NANO)]),
    _Family("memory_bytes", "gauge", "Memory in use, with the page cache.",
            lambda stats: [({}, stats.memory.usage.usage)]),
    _Family("memory_peak_bytes", "gauge", "The most memory that was ever in use.",
            lambda stats: [({}, stats.memory.usage.max)] if stats.memory.usage.max else []),
    _Family("memory_limit_bytes", "gauge", "What may be in use.",
            lambda stats: _limit(stats.memory.usage.limit)),
    _Family("memory_cache_bytes", "gauge", "Memory of cached files.",
            lambda stats: [({}, stats.memory.cache)]),
    _Family("memory_events", "counter", "How often a bound of memory was reached, by which.",
            lambda stats: [({"event": name}, count)
                           for name, count in sorted(stats.memory.events.items())]),
    _Family("tasks", "gauge", "Processes and threads.",
            lambda stats: [({}, stats.pids.current)]),
    _Family("tasks_limit", "gauge", "How many there may be.",
            lambda stats: _limit(stats.pids.limit)),
    _Family("io_bytes", "counter", "Bytes of block devices.", _io("service_bytes")),
    _Family("io_operations", "counter", "Operations of block devices.", _io("serviced")),
    _Family("pressure_seconds", "counter", "Time that tasks have waited for a resource.",
            _pressures),
)  # fmt: skip


def openmetrics(containers: Sequence[Observed]) -> str:
    """All metrics of some containers.

    Args:
        containers: in the order of their ids.

    Returns:
        Text of the type `application/openmetrics-text; version=1.0.0`.
    """
    lines = ["# TYPE pyrunc_container stateset", "# HELP pyrunc_container The containers' states."]
    for one in containers:
        for status in ("created", "running", "paused", "stopped"):
            labels = _labels({"id": one.id, "pyrunc_container": status})
            lines.append(f"pyrunc_container{labels} {int(status == one.status)}")
    for family in _FAMILIES:
        lines += _lines(family, containers)
    return "\n".join([*lines, "# EOF", ""])


def _lines(family: _Family, containers: Sequence[Observed]) -> Iterator[str]:
    name = f"pyrunc_{family.name}"
    yield f"# TYPE {name} {family.kind}"
    unit = name.rpartition("_")[2]
    if unit in ("seconds", "bytes"):
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {family.help}"
    suffix = "_total" if family.kind == "counter" else ""
    for one in containers:
        for labels, value in family.samples(one.stats) if one.stats else ():
            yield f"{name}{suffix}{_labels({'id': one.id, **labels})} {_number(value)}"


def _labels(labels: dict[str, str]) -> str:
    words = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(words) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)
