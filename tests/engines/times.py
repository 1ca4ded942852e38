# SPDX-License-Identifier: Apache-2.0
"""The whole way through an engine, `run --rm` of /bin/true, with pyrunc against runc and crun.

For the guest, where ratios of medians in one run mean a little and times nothing.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.engines.test_course import IMAGE, command, image_tar, oci_archive
from tests.lib import support

ROUNDS = 10
PEERS = ("runc", "crun")
CONFIG = Path("/etc/docker/daemon.json")


def main() -> int:
    runtimes = {name: path for name in PEERS if (path := shutil.which(name))}
    runtimes["pyrunc"] = support.PYRUNC
    with tempfile.TemporaryDirectory() as directory:
        packed = image_tar(Path(directory))
        CONFIG.parent.mkdir(exist_ok=True)
        paths = {name: {"path": path} for name, path in runtimes.items() if name != "runc"}
        CONFIG.write_text(json.dumps({"runtimes": paths}))
        command("systemctl", "start", "docker.service", "containerd.service")
        with packed.open("rb") as file:
            command("docker", "import", "-", IMAGE, stdin=file)
        command("podman", "import", "--quiet", str(packed), f"localhost/{IMAGE}")
        command("ctr", "image", "import", str(oci_archive(packed)))
        lines: dict[str, Callable[[str], tuple[str, ...]]] = {
            "docker run --rm": lambda name: (
                "docker", "run", "--rm", "--network", "none", "--runtime", name, IMAGE, "true"
            ),
            "ctr run --rm": lambda name: (
                "ctr", "run", "--rm", "--runc-binary", runtimes[name],
                f"docker.io/library/{IMAGE}", "times", "true",
            ),
            "podman run --rm": lambda name: (
                "podman", "--runtime", runtimes[name], "run", "--rm", "--network", "none",
                f"localhost/{IMAGE}", "true",
            ),
        }  # fmt: skip
        for what, line in lines.items():
            print(f"{what}: {ratios({name: line(name) for name in runtimes})}", flush=True)
    return 0


def ratios(lines: dict[str, tuple[str, ...]]) -> str:
    """Of wall times, of medians, in turn; the first round reads the programs from the disk."""
    found: dict[str, list[float]] = {name: [] for name in lines}
    for number in range(ROUNDS + 1):
        for name, line in lines.items():
            begin = time.perf_counter()
            subprocess.run(line, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            if number:
                found[name].append(time.perf_counter() - begin)
    ours = found.pop("pyrunc")
    words = []
    for name, theirs in found.items():
        spread = sorted(one / other for one, other in zip(ours, theirs, strict=True))
        middle = statistics.median(ours) / statistics.median(theirs)
        words.append(f"{middle:.2f} of {name}'s ({spread[0]:.2f}-{spread[-1]:.2f})")
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
