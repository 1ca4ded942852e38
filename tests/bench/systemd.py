# SPDX-License-Identifier: Apache-2.0
"""create and delete with each cgroup driver, pyrunc against the peers that are there.

For the test guest: tests/guest/run python3 -m tests.bench.systemd. Emulated times mean nothing;
the ratios, of medians taken in turn in one run, mean a little.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.lib import support

ROUNDS = 8
NULL = subprocess.DEVNULL


def life(program: str, driver: str, bundle: support.Bundle, name: str) -> tuple[float, float]:
    """Seconds of create, and of delete --force."""
    systemd = driver == "systemd"
    path = f"system.slice:bench:{name}" if systemd else f"/bench/{name}"
    bundle.config["linux"]["cgroupsPath"] = path
    bundle.write()
    options = ["--systemd-cgroup"] if systemd else []
    start = time.perf_counter()
    subprocess.run(
        [program, *options, "create", "-b", str(bundle.path), name],
        check=True, stdin=NULL, stdout=NULL, stderr=NULL,
    )  # fmt: skip
    created = time.perf_counter()
    subprocess.run([program, "delete", "--force", name], check=True, stdin=NULL)
    return created - start, time.perf_counter() - created


def main() -> int:
    if os.geteuid() != 0 or not os.path.isdir("/run/systemd/system"):
        print("needs root, and systemd as PID 1", file=sys.stderr)
        return 1
    programs = {name: path for name in ("runc", "crun") if (path := shutil.which(name))}
    programs["pyrunc"] = support.PYRUNC
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        bundle = support.Bundle(Path(directory) / "bundle", support.default_config())
        bundle.config["linux"]["resources"] = json.loads(
            '{"memory": {"limit": 67108864}, "cpu": {"shares": 512, "quota": 50000},'
            ' "pids": {"limit": 100}, "devices": [{"allow": false, "access": "rwm"}]}'
        )
        bundle.args("/bin/sleep", "1000")
        for number in range(ROUNDS):
            for driver in ("systemd", "fs"):
                for name, program in programs.items():
                    made = life(program, driver, bundle, f"bench-{name}-{driver}-{number}")
                    if number:  # the first round reads the programs from the disk
                        found.setdefault((driver, name), []).append(made)
    for driver in ("systemd", "fs"):
        ours = [statistics.median(row) for row in zip(*found[driver, "pyrunc"], strict=True)]
        for peer in programs:
            theirs = [statistics.median(row) for row in zip(*found[driver, peer], strict=True)]
            ratios = (f"{mine / other:.2f}" for mine, other in zip(ours, theirs, strict=True))
            if peer != "pyrunc":
                print(f"{driver}: pyrunc against {peer}: create {', delete '.join(ratios)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
