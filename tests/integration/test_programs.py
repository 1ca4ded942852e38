# SPDX-License-Identifier: Apache-2.0
"""The static programs as they are built, and what only the executable does for its caller."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support

INIT = Path(pyrunc.__file__).parent / "pyrunc-init"
EXECUTABLE = pytest.mark.skipif(not support.IS_EXECUTABLE, reason="needs dist/pyrunc: make static")
_STACK, _RELRO, _LOAD = 0x6474E551, 0x6474E552, 1
_EXECUTABLE, _WRITABLE = 1, 2
# mov or sub of the canary, %fs:0x28: System V ABI of x86-64.
_CANARY = re.compile(rb"\x64[\x48\x4c][\x8b\x2b\x33].\x25\x28\x00\x00\x00", re.DOTALL)


def segments(path: Path) -> list[tuple[int, int]]:
    """Type and flags of each program header (elf(5))."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01"
    (start,) = struct.unpack_from("=Q", data, 32)
    size, count = struct.unpack_from("=HH", data, 54)
    return [struct.unpack_from("=II", data, start + n * size) for n in range(count)]


def test_the_first_process_is_hardened():
    found = segments(INIT)
    assert [flags & _EXECUTABLE for kind, flags in found if kind == _STACK] == [0]
    assert _RELRO in [kind for kind, _ in found]
    both = _EXECUTABLE | _WRITABLE
    assert not [1 for kind, flags in found if kind == _LOAD and flags & both == both]
    if os.uname().machine == "x86_64":
        assert len(_CANARY.findall(INIT.read_bytes())) > 10


@EXECUTABLE
@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_directory_as_a_stream(runtime, bundle, tmp_path, stream):
    """Python alone does not start with one; the container has it."""
    bundle.shell(
        "(ls -l /proc/1/fd > /result 2> /open) < /dev/null; set -- /proc/1/fd/*; echo $# > /open"
    )
    bundle.config["root"]["readonly"] = False
    bundle.write()
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    name = ("stdin", "stdout", "stderr")[stream]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    command = [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.path)]
    done = subprocess.run(
        [*command, runtime.new_id()], check=False, timeout=60, **{**streams, name: directory}
    )
    os.close(directory)
    assert done.returncode == 0
    listed = (bundle.rootfs / "result").read_text()
    assert f" {stream} -> {tmp_path}\n" in listed
    assert int((bundle.rootfs / "open").read_text()) <= 4


@EXECUTABLE
def test_a_caller_with_little_memory(runtime, bundle):
    """A cgroup of 6 MB, in which one interpreter that starts has no room."""
    unified = support.V2
    top = Path("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/memory")
    own = top / f"pyrunc-test-{os.getpid()}-small"
    own.mkdir()
    try:
        limit = own / ("memory.max" if unified else "memory.limit_in_bytes")
        if not limit.exists():
            pytest.skip("needs the memory controller")
        limit.write_text(str(6 << 20))
        runtime.prefix = ("sh", "-c", f'echo $$ > {own}/cgroup.procs && exec "$@"', "sh")
        done = runtime.run(bundle.shell("echo inside"))
        assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr
    finally:
        support.in_time(lambda: not (own / "cgroup.procs").read_text())
        own.rmdir()
