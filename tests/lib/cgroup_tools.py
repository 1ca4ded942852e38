# SPDX-License-Identifier: Apache-2.0
"""What the tests that make cgroups of their own share: the host's layout, a child to put in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import Cgroup
from pyrunc.cgroups.join import Joining

INNER = "PYRUNC_TEST_V2_VIEW" in os.environ
NEEDS_ROOT = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes cgroups"),
]
LAYOUT = cgroups.detect()
V2 = LAYOUT.kind == "v2"
CONTROLLERS = {name for h in LAYOUT.hierarchies for name in h.names}
if V2:
    CONTROLLERS = set(Path(LAYOUT.hierarchies[0].mount, "cgroup.controllers").read_text().split())
# The test machine of tests/guest is ours alone: hierarchies may be mounted there.
GUEST = Path("/usr/local/lib/pyrunc-guest").is_dir()
legacy = pytest.mark.skipif(V2, reason="v1 controllers: this is a cgroup v2 view")
unified = pytest.mark.skipif(not V2, reason="cgroup v2 only: tested in the v2 view")
guest = pytest.mark.skipif(not GUEST, reason="mounts hierarchies: only in the test guest")
outside = pytest.mark.skipif(INNER or V2, reason="the host is cgroup v2 already, or this view is")

VIEW = 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"'


def needs(controller: str) -> pytest.MarkDecorator:
    reason = f"the {controller} controller is not there"
    return pytest.mark.skipif(controller not in CONTROLLERS, reason=reason)


def run_in_v2_view(file: str) -> None:
    """Run a file of tests once more, where only cgroup2 is mounted; the host keeps its mounts."""
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", VIEW, "sh"]
    command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
    env = {**os.environ, "PYRUNC_TEST_V2_VIEW": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Child:
    """A forked process that waits, then runs a function and exits with its result."""

    def __init__(self, work: Callable[[], int] = lambda: 0) -> None:
        read, self.gate = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.gate)
            status = 99
            try:
                os.read(read, 1)
                status = work()
            finally:
                os._exit(status)
        os.close(read)

    def finish(self) -> int:
        # Not by closing alone: children that were forked later hold the gate open as well.
        with suppress(BrokenPipeError):
            os.write(self.gate, b"x")
        os.close(self.gate)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def move(cgroup: Cgroup, pid: int) -> None:
    """Move a process into every hierarchy of a cgroup."""
    Joining(cgroup).move(pid)


def value(cgroup: Cgroup, controller: str, file: str) -> str:
    with open(f"{cgroup.by_controller['' if V2 else controller]}/{file}") as stream:
        return stream.read().strip()


def exists(cgroup: Cgroup) -> list[str]:
    return [d for d in cgroup.directories if os.path.exists(d)]
