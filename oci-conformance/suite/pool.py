# SPDX-License-Identifier: Apache-2.0
"""Build the probe, and run the cases in several processes at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from outcomes import Examined, Outcome

HERE = Path(__file__).resolve().parent
# Whatever plugins the host has, none of them is needed, and some take long to load.
ENVIRONMENT = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


class CannotRun(Exception):
    """What is missing, for a person."""


def build_probe(source: Path, directory: Path) -> Path:
    """A static program: musl's compiler if there is one, for its size."""
    compiler = shutil.which("musl-gcc") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise CannotRun("no C compiler: install gcc, and musl-tools or a static libc")
    probe = directory / "probe"
    built = subprocess.run(
        [compiler, "-static", "-O1", "-s", "-o", str(probe), str(source)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if built.returncode != 0:
        raise CannotRun(f"the probe cannot be built: {built.stderr.strip()[-400:]}")
    probe.chmod(0o755)
    return probe


def _version(program: str) -> tuple[str, str]:
    done = subprocess.run([program, "--version"], check=False, capture_output=True, text=True)
    words = (done.stdout.splitlines() or [""])[0].split()
    return (words[0], words[-1]) if words else (Path(program).name, "")


def _pytest(*arguments: str) -> list[str]:
    return [
        sys.executable, "-m", "pytest", "-c", str(HERE.parent / "pytest.ini"),
        "--rootdir", str(HERE.parent), *arguments, str(HERE),
    ]  # fmt: skip


def examine(program: str, only: str, probe: Path, directory: Path, jobs: int) -> Examined:
    """All cases against one runtime."""
    name, version = _version(program)
    began = time.monotonic()
    place = Path(directory) / f"{name}-{time.monotonic_ns()}"
    place.mkdir()
    place.chmod(0o711)
    shares = []
    for number in range(jobs):
        command = _pytest(
            f"--runtime={program}", f"--probe={probe}", f"--only={only}",
            f"--share={number}/{jobs}", f"--results={place / 'results'}{number}",
            f"--basetemp={place / 'work'}{number}",
        )  # fmt: skip
        with open(place / f"log{number}", "wb") as log:
            shares.append(subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT))
    try:
        for child in shares:
            child.wait()
    except BaseException:
        # Interrupted: pytest then cleans up what its cases have made.
        for child in shares:
            child.send_signal(signal.SIGINT)
        for child in shares:
            child.wait(60)
        raise
    made = Examined(program, name, version, time.monotonic() - began)
    for path in sorted(place.glob("results*")):
        for line in path.read_text().splitlines():
            outcome = Outcome(**json.loads(line))
            # Where the case is not kept and cleaning fails as well, the first counts.
            made.outcomes.setdefault(outcome.case, outcome)
    if not made.outcomes or any(child.returncode not in (0, 1, 5) for child in shares):
        text = "\n".join((place / f"log{number}").read_text()[-1500:] for number in range(jobs))
        raise CannotRun(f"no case could be run:\n{text}")
    return made


def collect() -> dict[str, Outcome]:
    """The cases, without a runtime."""
    results = Path("/tmp") / f"oci-conformance-collect-{time.monotonic_ns()}"
    try:
        command = _pytest("--collect-only", f"--results={results}")
        subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
        lines = results.read_text().splitlines()
    finally:
        results.unlink(missing_ok=True)
    return {one.case: one for one in (Outcome(**json.loads(line)) for line in lines)}
