# SPDX-License-Identifier: Apache-2.0
"""What one runtime is asked to do; runs in its worker."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.worker import (
    MILLI,
    Cost,
    Refused,
    Runtime,
    at_once,
    cpu_of,
    reap_orphans,
    spawn,
    timed,
)

AT_ONCE = 50
LIFE = ("create", "start", "state", "kill", "delete")
# Where runtimes keep compiled filters, below the state root.
_FILTERS = (":seccomp", ".cache/seccomp")
_SETTLED = 0.01


class Commands:
    """One runtime's commands, on bundles below a directory."""

    def __init__(self, runtime: Runtime, scratch: Path) -> None:
        self.runtime = runtime
        self.scratch = scratch
        # The plain command and the executable are one runtime, and share what it keeps.
        self.state = str(scratch / f"state-{'pyrunc' if self.ours else runtime.name}")
        self.prefix = f"pyrunc-bench-{os.getpid()}"
        self.count = 0
        self.idle: list[str] = []

    @property
    def ours(self) -> bool:
        return self.runtime.name in ("pyrunc", "plain")

    def version(self) -> str:
        line = [*self.runtime.line, "--version"]
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        # crun, and then its commit; ours with the interpreter.
        return ", ".join(x for x in done.stdout.splitlines() if "version" in x or "python" in x)

    def _line(self, *arguments: str) -> tuple[str, ...]:
        return (*self.runtime.line, "--root", self.state, *arguments)

    def _timed(self, *arguments: str) -> Cost:
        return timed(self._line(*arguments), arguments[0])

    def _name(self) -> str:
        self.count += 1
        return f"{self.prefix}-{self.count}"

    def _creation(self, kind: str, name: str) -> tuple[str, ...]:
        pid_file = str(self.scratch / f"pid-{name}")
        return ("create", "--pid-file", pid_file, "-b", str(self.scratch / kind), name)

    def _pid(self, name: str) -> int:
        return int((self.scratch / f"pid-{name}").read_text())

    def _create(self, kind: str, name: str) -> Cost:
        """With what the container's first process has done until it waits for `start`."""
        cost = self._timed(*self._creation(kind, name))
        time.sleep(_SETTLED)
        return cost.plus(Cost(0, cpu_of(self._pid(name))))

    def _start(self, name: str) -> Cost:
        pid = self._pid(name)
        before = cpu_of(pid)
        cost = self._timed("start", name)
        time.sleep(_SETTLED)
        return cost.plus(Cost(0, cpu_of(pid) - before))

    def _kill(self, name: str) -> Cost:
        cost = self._timed("kill", name, "KILL")
        os.waitpid(self._pid(name), 0)
        return cost

    def steps(self) -> dict[str, Any]:
        """Each command by itself, on a container that would run for long."""
        name = self._name()
        costs = {"create": self._create("sleep", name)}
        parked = _private_kb(self._pid(name))
        costs["start"] = self._start(name)
        costs["state"] = self._timed("state", name)
        costs |= self._driven(name)
        costs["kill"] = self._kill(name)
        costs["delete"] = self._timed("delete", name)
        life = Cost(0, 0)
        for step in LIFE:
            life = life.plus(costs[step])
        return {**costs, "life": life, "parked": parked}

    def _driven(self, name: str) -> dict[str, Cost]:
        """What is done to a container that runs."""
        costs = {"exec": self._timed("exec", name, "/bin/true")}
        detached = self._timed("exec", "-d", name, "/bin/true")
        # Its process has come to us, as to any caller that is a subreaper.
        kept = map(self._pid, [*self.idle, name])
        costs["exec-d"] = detached.plus(Cost(0, reap_orphans(*kept)))
        costs["ps"] = self._timed("ps", "--format", "json", name)
        costs["pause"] = self._timed("pause", name)
        costs["resume"] = self._timed("resume", name)
        costs["list"] = self._timed("list")
        if self.runtime.name != "crun":  # it has no such command
            costs["events"] = self._timed("events", "--stats", name)
        return costs

    def run(self) -> dict[str, Cost]:
        return {"run": self._timed("run", "-b", str(self.scratch / "true"), self._name())}

    def docker(self) -> dict[str, Cost]:
        """create as docker asks for it, with a filter to compile and with one that is kept."""
        costs = {}
        for place in _FILTERS:
            shutil.rmtree(f"{self.state}/{place}", ignore_errors=True)
        for what in ("docker-cold", "docker"):
            name = self._name()
            costs[what] = self._create("docker", name)
            self._kill(name)
            self._timed("delete", name)
        return costs

    def create_at_once(self) -> dict[str, float]:
        names = [self._name() for _ in range(AT_ONCE)]
        rate = at_once([self._line(*self._creation("sleep", name)) for name in names], "create")
        self._remove(names)
        return {"creates": rate}

    def exec_at_once(self) -> dict[str, float]:
        name = self._name()
        self._create("sleep", name)
        self._start(name)
        rate = at_once([self._line("exec", name, "/bin/true")] * AT_ONCE, "exec")
        self._remove([name])
        return {"execs": rate}

    def stand(self, count: int) -> None:
        """Have so many containers that sleep, until `fall`."""
        for _ in range(count):
            self.idle.append(self._name())
            for arguments in (self._creation("sleep", self.idle[-1]), ("start", self.idle[-1])):
                if os.waitpid(spawn(self._line(*arguments)), 0)[1]:
                    raise Refused(f"{arguments[0]} of container {len(self.idle)} failed")

    def fall(self) -> None:
        self._remove(self.idle)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            if os.waitpid(spawn(self._line("delete", "--force", name)), 0)[1] == 0:
                os.waitpid(self._pid(name), 0)

    def among(self) -> dict[str, Cost]:
        """create and list, with those that stand."""
        name = self._name()
        costs = {"create-1000": self._create("sleep", name), "list-1000": self._timed("list")}
        self._kill(name)
        self._timed("delete", name)
        return costs

    def peak(self) -> dict[str, float]:
        """Peak memory of `create` in KB.

        Not by wait4 from here: peak.c says why.
        """
        name = self._name()
        out = self.scratch / f"peak-{name}"
        line = (str(self.scratch / "peak-of"), str(out))
        pid = spawn((*line, *self._line(*self._creation("sleep", name))))
        if os.waitpid(pid, 0)[1] != 0:
            raise Refused("create under peak-of failed")
        self._kill(name)
        self._timed("delete", name)
        return {"peak": float(out.read_text())}


class Library:
    """The library in one process: create, start, wait and delete without any command."""

    def __init__(self, scratch: Path) -> None:
        import pyrunc
        import pyrunc.lifecycle.create
        import pyrunc.lifecycle.delete

        self.create = pyrunc.Container.create
        self.scratch = scratch
        self.count = 0

    def in_process(self) -> dict[str, Cost]:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.count += 1
        name = f"pyrunc-bench-{os.getpid()}-{self.count}"
        root = str(self.scratch / "state-library")
        begin, before = time.perf_counter(), _spent()
        container = self.create(
            str(self.scratch / "true"), name, root=root, stdio=(null, null, null)
        )
        container.start()
        code = container.wait().code
        container.delete()
        wall = (time.perf_counter() - begin) * MILLI
        spent = _spent() - before
        os.close(null)
        if code != 0:
            raise Refused(f"the library's container ended with {code}")
        return {"library": Cost(wall, spent * MILLI)}

    def imported(self) -> dict[str, Cost]:
        """An interpreter that imports the library, and one that does nothing."""
        line = (sys.executable, "-I", "-c")
        return {
            "import": timed((*line, "import pyrunc"), "import"),
            "no import": timed((*line, "pass"), "python"),
        }


def _spent() -> float:
    """Seconds of the processor that this process and its children have had."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _private_kb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return float(
        sum(int(x.split()[1]) for x in lines if x.startswith("Private_") and "Huge" not in x)
    )
