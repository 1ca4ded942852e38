# SPDX-License-Identifier: Apache-2.0
"""What a parked container keeps. Times are the benchmark's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
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


# Of a process that does nothing between the two looks: this one's own memory comes and goes.
HOLDER = """
import mmap, sys
held = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
text = b"x" * len(held)
for step in (lambda: None, lambda: held.write(text)):
    step()
    print("done", flush=True)
    sys.stdin.readline()
"""


def test_private_memory_is_what_the_kernel_counts():
    # Another Python that starts in between shares pages of libraries that were private.
    assert any(_grown() >= 32 << 10 for _ in range(5))


def _grown() -> int:
    """By how much a process grows, in KB, that has filled 32 MB."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER], text=True, **pipes) as holder:
        found = []
        for _ in range(2):
            assert holder.stdout.readline() == "done\n"
            found.append(private_kb(holder.pid))
            holder.stdin.write("\n")
            holder.stdin.flush()
    return found[1] - found[0]
