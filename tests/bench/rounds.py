# SPDX-License-Identifier: Apache-2.0
"""Where the benchmark runs, and what a round of it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.bench.worker import PAUSE, Refused, Worker
from tests.differential import cases_kernel
from tests.lib import support

# Under `sleep` a container runs until it is killed.
PROGRAMS = {"true": ("/bin/true",), "sleep": ("/bin/sleep", "1000000")}
EACH_ROUND = ("steps", "run", "docker", "peak")
# Dearer, and steadier by themselves: each fourth round.
SOME_ROUNDS = ("create_at_once", "exec_at_once")
EVERY = 4
FEW, MANY = 4, 1000
FILTER = Path("/usr/share/containers/seccomp.json")


class Results:
    """Measured values: what -> runtime -> one a round."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[Any]]] = {}

    def add(self, runtime: str, found: dict[str, Any]) -> None:
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
        support.Bundle(scratch / name, _config()).args(*program)
    if FILTER.exists():
        bundle = support.Bundle(scratch / "docker", _config())
        _as_docker(bundle)
        bundle.args(*PROGRAMS["sleep"])
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


def _as_docker(bundle: support.Bundle) -> None:
    """What makes a container of docker's dear: its filter, device rules, paths, 20 mounts."""
    config = bundle.config
    linux = config["linux"]
    linux["seccomp"] = cases_kernel.docker_seccomp()
    linux["maskedPaths"] = cases_kernel.DOCKER_MASKED
    linux["readonlyPaths"] = cases_kernel.DOCKER_READONLY
    linux["resources"] = {"devices": cases_kernel.docker_devices()}
    held = cases_kernel.DOCKER_CAPABILITIES
    config["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), held)
    for number in range(20 - len(config["mounts"])):
        source = bundle.path / f"volume{number}"
        source.mkdir()
        config["mounts"].append(
            {"destination": f"/volume{number}", "type": "bind", "source": str(source),
             "options": ["rbind", "rprivate", "ro"]}
        )  # fmt: skip


def enter_v2_view() -> None:
    """cgroup v2 alone, in our mount namespace: crun knows nothing of mixed hosts."""
    subprocess.run(["umount", "-R", "/sys/fs/cgroup"], check=True)
    _mount("-t", "cgroup2", "none", "/sys/fs/cgroup")


def prepare_tree(tree: Path, *places: Path) -> None:
    """What a runtime needs inside a tree that becomes its root."""
    _mount("--bind", str(tree), str(tree))
    for path in ("/proc", "/sys", "/dev", *map(str, places)):
        target = tree / path.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        _mount("--rbind", path, str(target))


def copied(programs: dict[str, Path], place: Path) -> dict[str, str]:
    """All the programs written anew in the same way, so that the page cache holds them alike:
    one that was read by page faults lies in smaller pieces, which costs up to 40 %."""
    found = {}
    for name, path in programs.items():
        found[name] = str(place / name)
        with path.open("rb") as source, Path(found[name]).open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        Path(found[name]).chmod(0o755)
    return found


def one_round(workers: list[Worker], measures: tuple[str, ...], results: Results) -> None:
    """Every measure once for every runtime; neighbours in time are what is compared."""
    for measure in measures:
        for worker in workers:
            # What the one before has left to the kernel (the end of its cgroup) is not ours.
            time.sleep(PAUSE)
            results.add(worker.name, worker.call(measure))


def measured(workers: list[Worker], library: Worker, rounds: int) -> Results:
    """All rounds. Each worker has shown that it works."""
    results = Results()
    # Those two are one runtime.
    owners = [worker for worker in workers if worker.name != "plain"]
    measures = tuple(what for what in EACH_ROUND if what != "docker" or FILTER.exists())
    _all(owners, "stand", FEW)
    try:
        for number in range(rounds):
            rare = number % EVERY == 0
            some = SOME_ROUNDS if rare else ()
            # The plain command takes as long as all the others together.
            asked = workers if rare else owners
            one_round(_turned(asked, number), (*measures, *some), results)
            for what in ("in_process", "imported"):
                results.add(library.name, library.call(what))
            _tell(f"round {number + 1} of {rounds}")
        _tell(f"making {MANY} containers")
        _all(owners, "stand", MANY - FEW)
        for number in range(max(2, rounds // EVERY)):
            one_round(_turned(workers, number), ("among",), results)
            _tell(f"round {number + 1} of {rounds // EVERY} with {MANY} containers")
    finally:
        _all(owners, "fall")
    return results


def _turned(workers: list[Worker], number: int) -> list[Worker]:
    turn = number % len(workers)
    return workers[turn:] + workers[:turn]


def _all(workers: list[Worker], *call: Any) -> None:
    """The same of all, at once: nothing is measured."""
    failed: list[Refused] = []

    def ask(worker: Worker) -> None:
        try:
            worker.call(*call)
        except Refused as error:
            failed.append(error)

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _tell(what: str) -> None:
    print(f"\r{what:40}", end="", file=sys.stderr, flush=True)


def load_average() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())
