# SPDX-License-Identifier: Apache-2.0
"""One row of the contract, played with one runtime: what a caller can observe, as lines.

Ids, pids, times, paths and the runtime's own name are written as ID, PID, TIME, and so on; what is
left has to be the same for every runtime, or is listed in reasons.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.contract import callers
from tests.lib import support

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
STATES = ("none", "created", "running", "paused", "stopped")


class Case:
    """A runtime with a bundle and its callers, and what has been seen."""

    def __init__(self, program: str, directory: Path, template: dict[str, Any]) -> None:
        self.kind = os.path.basename(program)
        self.directory = directory
        self.runtime = support.Runtime(program, directory / "state")
        self.bundle = support.Bundle(directory / "bundle", template)
        self.bundle.args("/bin/sleep", "1000")
        self.name = self.runtime.new_id()
        self.shim = callers.Shim(self.runtime, directory / "shim")
        self.plain = callers.Plain(self.runtime, directory / "plain")
        self.podman = callers.Podman(self.runtime, directory / "podman")
        self.conmon = callers.Conmon(self.runtime, directory / "conmon")
        self.facts: list[str] = []

    def put(self, state: str) -> None:
        """The container in a state; nothing of this is a fact."""
        if state == "none":
            return
        self.must("create", "-b", str(self.bundle.path), self.name)
        if state != "created":
            self.must("start", self.name)
        if state == "paused":
            self.must("pause", self.name)
        if state == "stopped":
            self.must("kill", self.name, "KILL")
            self.runtime.until(self.name, "stopped")

    def must(self, *words: str) -> None:
        done = self.plain(*words)
        assert done.code == 0, (words, done)

    def fact(self, what: str, value: object) -> None:
        self.facts.append(self.normal(f"{what}: {value}"))

    def saw(self, done: callers.Done, form: str = "all") -> callers.Done:
        """A command's end as facts; of usage errors only the first line, help is each one's own."""
        self.fact("exit", done.code)
        out = done.out.splitlines()
        for line in out[:1] if form == "first" else out if form == "all" else []:
            self.fact("stdout", line)
        if done.out and not done.out.endswith("\n"):
            self.fact("stdout", "no newline at the end")
        for line in done.err.splitlines():
            self.fact("stderr", line)
        for record in done.records:
            stamp = record.pop("time", None)
            if not isinstance(stamp, str) or not datetime.fromisoformat(stamp).tzinfo:
                self.fact("log without a time", stamp)
            self.fact("log", json.dumps(record))
        return done

    def normal(self, text: str) -> str:
        text = text.replace(str(self.bundle.path), "BUNDLE").replace(self.name, "ID")
        text = text.replace(str(self.directory), "DIR")
        text = re.sub(rf"{self.name[:-1]}\d+", "ID", text)
        text = re.sub(r"\b(py)?(runc|crun)(: \\*\"| version)", r"NAME\3", text)
        text = TIME.sub("TIME", text)
        return re.sub(r'("pid": ?)[1-9]\d*', r"\1PID", text)

    def close(self) -> None:
        for name in self.runtime.ids:
            subprocess.run(
                [self.runtime.program, "--root", str(self.runtime.root), "delete", "-f", name],
                check=False, capture_output=True, stdin=subprocess.DEVNULL,
                timeout=60 * support.SLOW,
            )  # fmt: skip
            for cgroup in support.cgroups_named(name):
                with contextlib.suppress(FileNotFoundError):  # only v2 has it
                    Path(f"{cgroup}/cgroup.kill").write_text("1")
            support.remove_cgroups(name)


@dataclass(frozen=True)
class Row:
    """A statement of the contract and how it is tried."""

    name: str
    section: str
    words: str
    play: Callable[[Case], object]


class Rows(dict[str, Row]):
    """The rows of one module, by name; rows.py lists the modules."""

    def row(
        self, section: str, words: str
    ) -> Callable[[Callable[[Case], object]], Callable[[Case], object]]:
        """A function is a row, under its name."""

        def register(play: Callable[[Case], object]) -> Callable[[Case], object]:
            self.add(play.__name__, section, words, play)
            return play

        return register

    def add(self, name: str, section: str, words: str, play: Callable[[Case], object]) -> None:
        assert name not in self, name
        self[name] = Row(name, section, words, play)

    def line(
        self, name: str, section: str, words: str, state: str, *commands: str, **how: str
    ) -> None:
        """Commands in a state are a row; ID and BUNDLE in them are the case's own."""

        def play(case: Case) -> None:
            case.put(state)
            caller = getattr(case, how.get("caller", "shim"))
            for command in commands:
                words = [
                    word.replace("BUNDLE", str(case.bundle.path)).replace("ID", case.name)
                    .replace("DIR", str(case.directory))
                    for word in command.split(" ")
                ]  # fmt: skip
                case.saw(caller(*words), how.get("form", "all"))

        self.add(name, section, words, play)


def observe(row: Row, program: str, directory: Path, template: dict[str, Any]) -> list[str]:
    """The facts of a row for one runtime; nothing is left of it."""
    case = Case(program, directory, template)
    try:
        row.play(case)
        return case.facts
    except (AssertionError, ValueError) as error:
        # crun lacks commands whose output a row reads; for the others this is a failure.
        if case.kind != "crun":
            raise
        return [*case.facts, f"the row ends here: {type(error).__name__}"]
    finally:
        case.close()
