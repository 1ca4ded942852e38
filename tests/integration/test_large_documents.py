# SPDX-License-Identifier: Apache-2.0
"""Documents near the 16 MiB that are read."""

from __future__ import annotations

import json
import os

# 45,000 measured with the executable, 590,000 when each piece that was read copied all before it.
MAX_FAULTS = 100_000


def test_a_large_state_is_read_in_linear_time(runtime, bundle):
    annotations = {f"org.example.{n}": "x" * 1000 for n in range(12_000)}
    bundle.config["annotations"] = annotations
    name = runtime.create(bundle.args("/bin/true"))
    out = bundle.path / "out"
    write = os.O_WRONLY | os.O_CREAT
    actions = [(os.POSIX_SPAWN_OPEN, 1, str(out), write, 0o600)]
    command = [runtime.program, "--root", str(runtime.root), "state", name]
    pid = os.posix_spawn(command[0], command, {}, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    assert json.loads(out.read_text())["annotations"] == annotations
    assert usage.ru_minflt < MAX_FAULTS
