# SPDX-License-Identifier: Apache-2.0
"""BPF device programs of cgroups: load, attach in place of others, query.

Typed wrappers of csrc/core/bpf.c that raise OSError. This module must not know what a program
decides; cgroups/device_bpf does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from pyrunc.kernel._core import ffi, lib

_INSTRUCTION = 8
# The verifier gives up with EAGAIN when a signal comes in.
_LOAD_TRIES = 30
_LOG_SIZE = 1 << 16
# The kernel attaches at most 64 programs to one cgroup (BPF_CGROUP_MAX_PROGS).
_MOST_PROGRAMS = 64


def load(code: bytes) -> int:
    """Load a device program.

    Args:
        code: its instructions, 8 bytes each.

    Returns:
        A descriptor, the caller's to close.

    Raises:
        OSError: of bpf(2); a note holds the verifier's log when it has one.
    """
    count = len(code) // _INSTRUCTION
    for _ in range(_LOAD_TRIES):
        fd = int(lib.pyrunc_bpf_load(code, count, ffi.NULL, 0))
        if fd != -errno.EAGAIN:
            break
    if fd >= 0:
        return fd
    error = OSError(-fd, os.strerror(-fd))
    if fd in (-errno.EINVAL, -errno.EACCES):
        # Only a refused program is worth the log, which makes loading slower.
        log = ffi.new("char[]", _LOG_SIZE)
        again = int(lib.pyrunc_bpf_load(code, count, log, _LOG_SIZE))
        if again >= 0:
            return again
        error.add_note(ffi.string(log).decode(errors="replace"))
    raise error


def attached(cgroup: int) -> tuple[int, ...]:
    """The ids of the device programs attached to a cgroup itself.

    Args:
        cgroup: descriptor of the cgroup.

    Raises:
        OSError: of bpf(2).
    """
    ids = ffi.new("uint32_t[]", _MOST_PROGRAMS)
    count = _done(lib.pyrunc_bpf_query(cgroup, ids, _MOST_PROGRAMS))
    return tuple(int(ids[i]) for i in range(count))


def replace_device_program(cgroup: int, code: bytes, old: Sequence[int]) -> int:
    """Load a program and attach it in place of others.

    The new one is there before an old one goes: at no time is everything allowed.

    Args:
        cgroup: descriptor of the cgroup.
        code: the program's instructions.
        old: ids of the programs to replace, all that are attached.

    Returns:
        The id of the new program.

    Raises:
        OSError: of bpf(2).
    """
    program = load(code)
    try:
        number = ffi.new("uint32_t *")
        _done(lib.pyrunc_bpf_id(program, number))
        if len(old) == 1:
            replaced = _done(lib.pyrunc_bpf_open(old[0]))
            try:
                _done(lib.pyrunc_bpf_attach(cgroup, program, replaced))
            finally:
                os.close(replaced)
        else:
            _done(lib.pyrunc_bpf_attach(cgroup, program, -1))
            detach(cgroup, old)
        return int(number[0])
    finally:
        # The cgroup holds its own reference.
        os.close(program)


def detach(cgroup: int, ids: Sequence[int]) -> None:
    """Detach programs from a cgroup.

    Args:
        cgroup: descriptor of the cgroup.
        ids: their ids.

    Raises:
        OSError: of bpf(2).
    """
    for number in ids:
        program = _done(lib.pyrunc_bpf_open(number))
        try:
            _done(lib.pyrunc_bpf_detach(cgroup, program))
        finally:
            os.close(program)


def _done(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return int(result)
