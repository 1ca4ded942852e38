# SPDX-License-Identifier: Apache-2.0
"""Where the benchmark runs, and what a round of it is."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import support
from worker import PAUSE, Worker

MEASURES = ("steps", "cycle", "run", "in_process", "peak")
# Under `sleep` a container runs until it is killed.
PROGRAMS = {"true": ("/bin/true",), "sleep": ("/bin/sleep", "1000")}


class Results:
    """Measured values: what -> runtime -> one number a round."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = {}

    def add(self, runtime: str, found: dict[str, float]) -> None:
        for what, value in found.items():
            self.values.setdefault(what, {}).setdefault(runtime, []).append(value)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def prepare_scratch() -> Path:
    """Bundles and state roots in a tmpfs of our own mount namespace, as /run is one."""
    scratch = Path(tempfile.gettempdir()) / "pyrunc-bench"
    scratch.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "none", str(scratch))
    source = str(Path(__file__).resolve().parent / "peak.c")
    subprocess.run(["cc", "-O2", "-static", source, "-o", str(scratch / "peak-of")], check=True)
    for name, program in PROGRAMS.items():
        bundle = support.Bundle(scratch / name, _config())
        bundle.args(*program)
    return scratch


def _config() -> dict[str, Any]:
    """What `runc spec` writes, but for the terminal; with it, all runtimes do the same work."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["runc", "spec", "-b", directory], check=True)
        config: dict[str, Any] = json.loads((Path(directory) / "config.json").read_text())
    config["process"]["terminal"] = False
    # runc 1.1 writes ambient capabilities without inheritable ones, which newer kernels refuse.
    config["process"]["capabilities"].pop("ambient", None)
    return config


def enter_v2_view() -> None:
    """cgroup v2 alone, in our mount namespace: crun knows nothing of mixed hosts."""
    subprocess.run(["umount", "-R", "/sys/fs/cgroup"], check=True)
    _mount("-t", "cgroup2", "none", "/sys/fs/cgroup")


def prepare_tree(tree: Path, scratch: Path) -> None:
    """What a runtime needs inside a tree that is entered by chroot."""
    _mount("--bind", str(tree), str(tree))
    for path in ("/proc", "/sys", "/dev", str(scratch)):
        target = tree / path.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        _mount("--rbind", path, str(target))


def try_once(worker: Worker) -> None:
    """One of everything: warms the caches, and shows what does not work.

    Raises:
        worker.Refused: with the runtime's own words.
    """
    for measure in MEASURES:
        worker.call(measure)


def one_round(workers: list[Worker], results: Results) -> None:
    """Every measure once for every runtime; neighbours in time are what is compared."""
    for measure in MEASURES:
        for worker in workers:
            # What the one before has left to the kernel (the end of its cgroup) is not ours.
            time.sleep(PAUSE)
            results.add(worker.name, worker.call(measure))


def load_average() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())
