# SPDX-License-Identifier: Apache-2.0
"""Our conformance suite: pyrunc keeps every clause, and no broken runtime gets past it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest
from broken.faults import FAULTS, LIES

from tests.lib.support import PYRUNC, needs_root

SUITE = Path(__file__).resolve().parents[2] / "oci-conformance"

WHOLE = "PYRUNC_TEST_CONFORMANCE" in os.environ
WANTED = {name: clause for name, (_, clause) in [*FAULTS.items(), *LIES.items()]}
# One that edits and one that lies in every run of the tests; all in `make test-conformance`.
FEW = ["mask-forgotten", "delete-nothing"]
FEW_JOBS = ("--jobs", "1", "--format", "junit")
# One clause of each chapter stands for all of it.
SMOKE = (
    "state.status,operations.delete,process.user.uid,hooks.failure.create,mounts.order,"
    "linux.namespaces.path[,linux.resources.pids,linux.seccomp.op,refused.linux.seccomp"
)


def reason() -> str:
    if why := needs_root():
        return why
    return "" if shutil.which("musl-gcc") or shutil.which("cc") else "needs a C compiler"


pytestmark = pytest.mark.skipif(bool(reason()), reason=reason() or "-")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SUITE / "run"), *arguments],
        check=False, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip


def counts(text: str) -> tuple[int, int]:
    """How many cases there were, and how many are broken, of JUnit's report."""
    suite = Xml.fromstring(text)[0]
    return int(suite.attrib["tests"]), int(suite.attrib["failures"])


def test_pyrunc_keeps_every_clause():
    done = run("--runtime", PYRUNC, "--only", "" if WHOLE else SMOKE)
    assert done.returncode == 0, done.stdout[done.stdout.find("\n\n") :] + done.stderr
    assert "BROKEN" not in done.stdout


@pytest.mark.skipif(not WHOLE, reason="PYRUNC_TEST_CONFORMANCE=1 asks for it: some minutes")
def test_all_of_runcs_failures_are_explained():
    if not shutil.which("runc"):
        pytest.skip("needs runc")
    done = run("--runtime", "runc")
    assert done.returncode == 0, done.stdout[done.stdout.find("\n\n") :] + done.stderr


@pytest.mark.parametrize("fault", list(WANTED) if WHOLE else FEW)
def test_a_broken_runtime_is_caught(fault, tmp_path):
    wrapper = tmp_path / "runtime"
    words = [sys.executable, "-I", "-S", str(SUITE / "broken" / "broken.py"), fault, PYRUNC]
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    wrapper.chmod(0o755)
    done = run("--runtime", str(wrapper), "--only", WANTED[fault], *FEW_JOBS)
    assert done.returncode != 2, done.stderr
    ran, broken = counts(done.stdout)
    assert broken >= 1, f"{fault}: {ran} cases of {WANTED[fault]}, and none of them saw it"


def test_every_format_says_the_same():
    only = "state.bundle"
    table = run("--runtime", PYRUNC, "--only", only, "--jobs", "1").stdout
    tap = run("--runtime", PYRUNC, "--only", only, "--jobs", "1", "--format", "tap").stdout
    html = run("--runtime", PYRUNC, "--only", only, "--jobs", "1", "--format", "html").stdout
    names = [line.split()[0] for line in table.splitlines() if line.startswith(only)]
    assert len(names) == 2
    assert all(name in tap and name in html for name in names)
    assert tap.splitlines()[1] == f"1..{len(names)}"


def test_what_cannot_be_run_is_one_line():
    done = run("--runtime", "/no/such/runtime")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
