# SPDX-License-Identifier: Apache-2.0
"""What a parked container keeps. Times are the benchmark's."""

from __future__ import annotations

import json
import mmap
import os
import re
from pathlib import Path

MAX_PARKED_KB = 200  # 120 measured


def private_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB$", text, re.M))


def test_a_parked_container_keeps_little_memory(bundle, runtime):
    name = runtime.create(bundle)
    state = json.loads(runtime("state", name).stdout)
    assert state["status"] == "created"
    # Of the process itself, so that it is known to be pyrunc-init and not what it waits to run.
    assert 0 < private_kb(state["pid"]) <= MAX_PARKED_KB


def test_private_memory_is_what_the_kernel_counts():
    before = private_kb(os.getpid())
    with mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"x" * len(held))
        # Beside what this process itself gives back meanwhile.
        assert private_kb(os.getpid()) - before > 0.9 * (len(held) >> 10)
