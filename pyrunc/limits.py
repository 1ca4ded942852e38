# SPDX-License-Identifier: Apache-2.0
"""Resource limits with types and units, for the library.

`linux.resources` was designed for cgroup v1: its CPU shares, swap sums and block weights have to
be calculated, and what only v2 has (memory.high, oom.group, io.latency) hides in a map of file
names. `Limits` says what is meant and compiles to both. Pure, except that a block device given
by its path is looked up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyrunc.cgroups.write import expand
from pyrunc.errors import UsageError

PERIOD = 100_000  # microseconds, the kernel's own default
# The kernel takes no quota below a millisecond.
_LEAST_CPUS = 0.01
_MOST_CPUS = 100_000
_MOST_BYTES = (1 << 63) - 1
_WEIGHTS = (1, 10_000)
_SHARES = (2, 262_144)
_RATES = {
    "rbps": "throttleReadBpsDevice",
    "wbps": "throttleWriteBpsDevice",
    "riops": "throttleReadIOPSDevice",
    "wiops": "throttleWriteIOPSDevice",
}


@dataclass(slots=True, kw_only=True, repr=False)
class Limits:
    """What a container may use at most. What is left out is not limited, or as config.json says.

    Each is enforced, or an error of `create`: where the host has no controller for it, and where
    the kernel keeps another value than the one it was given.

    Args:
        memory_max: bytes; beyond that the kernel kills (memory.max).
        memory_high: bytes; beyond that it slows down and reclaims (memory.high, v2 only).
        memory_low: bytes that are reclaimed only as a last resort (memory.low).
        memory_min: bytes that are never reclaimed (memory.min, v2 only).
        swap_max: bytes of swap, in addition to memory; 0 is none.
        oom_group: whether the kernel kills all of the container at once (v2 only).
        cpus: processors' worth of time; 0.5 is half of one.
        cpu_burst: processor seconds that may be saved up and used beyond `cpus` in one period.
        cpu_weight: 1 to 10000, default 100: the share under contention (v2 only).
        cpu_shares: 2 to 262144, default 1024: the same in v1's scale, for both versions.
        cpu_idle: run only when nothing else wants the CPU.
        cpuset_cpus: the processors that may be used: "0-3,8" or their numbers.
        cpuset_mems: the memory nodes that may be used, in the same form.
        pids: processes and threads.
        io_weight: 1 to 10000, default 100 (v2 only).
        io_max: block device -> rates: "rbps" and "wbps" in bytes, "riops" and "wiops" in
            operations a second.
        io_latency: block device -> milliseconds that its operations may take (v2 only).
        hugepages: size ("2MB") -> bytes.

    A block device is its path, "major:minor" or a pair of numbers.

    Raises:
        UsageError: a value is out of its range, or two contradict each other.
    """

    memory_max: int | None = None
    memory_high: int | None = None
    memory_low: int | None = None
    memory_min: int | None = None
    swap_max: int | None = None
    oom_group: bool | None = None
    cpus: float | None = None
    cpu_burst: float | None = None
    cpu_weight: int | None = None
    cpu_shares: int | None = None
    cpu_idle: bool | None = None
    cpuset_cpus: str | Iterable[int] | None = None
    cpuset_mems: str | Iterable[int] | None = None
    pids: int | None = None
    io_weight: int | None = None
    io_max: Mapping[Any, Mapping[str, int]] | None = None
    io_latency: Mapping[Any, float] | None = None
    hugepages: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        _bytes("memory_max", self.memory_max, least=1)
        for name in ("memory_high", "memory_low", "memory_min", "swap_max"):
            _bytes(name, getattr(self, name))
        for name in ("oom_group", "cpu_idle"):
            _flag(name, getattr(self, name))
        _number("cpus", self.cpus, _LEAST_CPUS, _MOST_CPUS, "processors")
        _number("cpu_burst", self.cpu_burst, 0, _MOST_CPUS, "seconds")
        _whole("cpu_weight", self.cpu_weight, *_WEIGHTS)
        _whole("cpu_shares", self.cpu_shares, *_SHARES)
        _whole("pids", self.pids, 1, _MOST_BYTES)
        _whole("io_weight", self.io_weight, *_WEIGHTS)
        self.cpuset_cpus = _set("cpuset_cpus", self.cpuset_cpus)
        self.cpuset_mems = _set("cpuset_mems", self.cpuset_mems)
        self.io_max = _rates(self.io_max)
        self.io_latency = _latencies(self.io_latency)
        self.hugepages = dict(self.hugepages or {})
        for size, value in self.hugepages.items():
            _bytes(f"hugepages[{size!r}]", value)
        self._agree()

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in self.__slots__)
        inside = ", ".join(f"{n}={v!r}" for n, v in given if v is not None and v != {})
        return f"Limits({inside})"

    def _agree(self) -> None:
        if self.cpu_weight is not None and self.cpu_shares is not None:
            raise UsageError("Limits: cpu_weight and cpu_shares are alternatives; give one of them")
        if self.cpu_idle and (self.cpu_weight or self.cpu_shares):
            raise UsageError("Limits: an idle container has no weight")
        if self.cpu_burst and self.cpus is None:
            raise UsageError("Limits: cpu_burst needs cpus to go beyond")
        if self.cpu_burst and self.cpus and self.cpu_burst > self.cpus * PERIOD / 1e6:
            raise UsageError(
                f"Limits: cpu_burst={self.cpu_burst} is more than cpus={self.cpus} yields in a "
                f"period of {PERIOD / 1e6} s"
            )
        for name in ("memory_min", "memory_low", "memory_high"):
            value = getattr(self, name)
            if value is not None and self.memory_max is not None and value > self.memory_max:
                raise UsageError(f"Limits: {name}={value} is above memory_max={self.memory_max}")

    def to_resources(self) -> dict[str, Any]:
        """The limits as `linux.resources` of config.json."""
        found: dict[str, Any] = {}
        memory = _given(limit=self.memory_max, reservation=self.memory_low)
        unified = _given(
            **{
                "memory.min": self.memory_min,
                "memory.high": self.memory_high,
                "cpu.weight": self.cpu_weight,
                "memory.oom.group": None if self.oom_group is None else int(self.oom_group),
            }
        )
        if self.swap_max is not None and self.memory_max is not None:
            # In linux.resources it is the sum of both, and 0 is "not set".
            memory["swap"] = self.memory_max + self.swap_max
        elif self.swap_max is not None:
            unified["memory.swap.max"] = self.swap_max
        if self.io_weight is not None:
            unified["io.weight"] = f"default {self.io_weight}"
        if self.io_latency:
            targets = self.io_latency.items()
            # In microseconds.
            lines = (f"{device} target={round(value * 1000)}" for device, value in targets)
            unified["io.latency"] = "\n".join(lines)
        if memory:
            found["memory"] = memory
        if cpu := self._cpu():
            found["cpu"] = cpu
        if self.pids is not None:
            found["pids"] = {"limit": self.pids}
        if self.io_max:
            found["blockIO"] = self._throttles()
        if self.hugepages:
            pages = self.hugepages.items()
            found["hugepageLimits"] = [{"pageSize": size, "limit": most} for size, most in pages]
        if unified:
            found["unified"] = {name: str(value) for name, value in unified.items()}
        return found

    def _cpu(self) -> dict[str, Any]:
        cpu = _given(
            shares=self.cpu_shares,
            idle=None if self.cpu_idle is None else int(self.cpu_idle),
            cpus=self.cpuset_cpus,
            mems=self.cpuset_mems,
        )
        if self.cpus is not None:
            cpu |= {"quota": round(self.cpus * PERIOD), "period": PERIOD}
        if self.cpu_burst is not None:
            cpu["burst"] = round(self.cpu_burst * 1e6)
        return cpu

    def _throttles(self) -> dict[str, list[dict[str, int]]]:
        found: dict[str, list[dict[str, int]]] = {}
        for device, rates in (self.io_max or {}).items():
            major, _, minor = device.partition(":")
            for name, rate in rates.items():
                row = {"major": int(major), "minor": int(minor), "rate": rate}
                found.setdefault(_RATES[name], []).append(row)
        return found

    def add_to(self, config: dict[str, Any]) -> None:
        """Put the limits into a configuration, over what it has of the same kind.

        Args:
            config: config.json as a value; changed in place.
        """
        linux = config.setdefault("linux", {})
        if not isinstance(linux, dict):
            return  # the check of the document reports it
        resources = linux.setdefault("resources", {})
        if not isinstance(resources, dict):
            return
        for name, value in self.to_resources().items():
            known = resources.get(name)
            resources[name] = known | value if isinstance(known, dict) else value


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _wrong(name: str, value: object, wanted: str) -> UsageError:
    return UsageError(f"Limits: {name}={value!r}: must be {wanted}")


def _whole(name: str, value: int | None, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(name, value, f"a whole number from {least} to {most}")


def _bytes(name: str, value: int | None, least: int = 0) -> None:
    if isinstance(value, str | float):
        raise _wrong(name, value, "a whole number of bytes, as in 64 * 1024 * 1024")
    _whole(name, value, least, _MOST_BYTES)


def _flag(name: str, value: bool | None) -> None:
    if value not in (None, True, False) or isinstance(value, float):
        raise _wrong(name, value, "True or False")


def _number(name: str, value: float | None, least: float, most: float, unit: str) -> None:
    if value is None:
        return
    # One chained comparison, so that NaN fails it.
    good = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not good:
        raise _wrong(name, value, f"a number of {unit} from {least:g} to {most:g}")


def _latencies(io_latency: Mapping[Any, float] | None) -> dict[str, float]:
    found = {}
    for device, value in (io_latency or {}).items():
        _number("io_latency", value, 0, 10_000_000, "milliseconds")
        found[_device("io_latency", device)] = value
    return found


def _set(name: str, value: str | Iterable[int] | None) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else ",".join(map(str, value))
    if not expand(text):
        raise _wrong(name, value, 'numbers, or a list like "0-3,8"')
    return text


def _rates(io_max: Mapping[Any, Mapping[str, int]] | None) -> dict[str, dict[str, int]]:
    found = {}
    for device, rates in (io_max or {}).items():
        for name, rate in rates.items():
            if name not in _RATES:
                raise _wrong("io_max", name, "one of " + ", ".join(_RATES))
            _whole(f"io_max {name}", rate, 1, _MOST_BYTES)
        found[_device("io_max", device)] = dict(rates)
    return found


def _device(name: str, device: object) -> str:
    """ "major:minor" of a block device, however it is given."""
    if isinstance(device, tuple) and len(device) == 2:
        device = ":".join(map(str, device))
    if isinstance(device, str) and device.startswith("/"):
        try:
            found = os.stat(device)
        except OSError as error:
            raise _wrong(name, device, f"a block device ({error.strerror})") from None
        if not stat.S_ISBLK(found.st_mode):
            raise _wrong(name, device, "a block device")
        return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    if isinstance(device, str):
        major, _, minor = device.partition(":")
        if major.isdigit() and minor.isdigit():
            return device
    raise _wrong(name, device, 'a block device: its path, "major:minor" or a pair of numbers')
