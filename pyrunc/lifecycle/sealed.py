# SPDX-License-Identifier: Apache-2.0
"""How pyrunc-init is executed where a memfd cannot be: vm.memfd_noexec=2, a small RLIMIT_FSIZE.

A container can reach what is executed for it by /proc/PID/exe. The installed file must not be
writable that way (CVE-2019-5736).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from resource import RLIMIT_FSIZE, getrlimit, setrlimit

from pyrunc.errors import KernelError
from pyrunc.kernel import calls
from pyrunc.kernel.descriptor import Descriptor, opened

_HINT = "vm.memfd_noexec is 2 or RLIMIT_FSIZE too small, and no directory allows execution"


def executable(path: str, program: Callable[[], bytes]) -> Descriptor:
    """The program opened, read-only for the process that executes it.

    Args:
        path: where it is installed; "" in the static executable.
        program: reads it.

    Raises:
        KernelError: this host allows none of the ways.
    """
    if path:
        try:
            return calls.open_sealed(os.path.dirname(path), os.path.basename(path))
        except KernelError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                raise
    elif larger := _beyond_limit(program):
        return larger
    # Without the privilege to mount: an unnamed file, for this one start. A process that writes to
    # it changes a copy that nothing else executes.
    for directory in (os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/dev/shm"):  # noqa: S108
        if copy := _copy(directory, program):
            return copy
    raise KernelError("execute", "open", errno.EACCES, path or "pyrunc-init", hint=_HINT)


def _beyond_limit(program: Callable[[], bytes]) -> Descriptor | None:
    """A memfd larger than RLIMIT_FSIZE, which root may raise for a moment: the limit is meant for
    the caller's files. None if the limit is not the problem, or cannot be raised.
    """
    soft, hard = getrlimit(RLIMIT_FSIZE)
    data = program()
    if soft < 0 or soft >= len(data):
        return None
    try:
        setrlimit(RLIMIT_FSIZE, (len(data), max(len(data), hard) if hard >= 0 else hard))
    except (ValueError, OSError):
        return None
    try:
        return calls.sealed_memfd("pyrunc-init", data, executable=True)
    except KernelError:
        return None
    finally:
        setrlimit(RLIMIT_FSIZE, (soft, hard))


def _copy(directory: str, program: Callable[[], bytes]) -> Descriptor | None:
    try:
        if not directory or os.statvfs(directory).f_flag & os.ST_NOEXEC:
            return None
        with opened(directory, os.O_TMPFILE | os.O_RDWR, 0o500) as writer:
            data = program()
            while data:
                data = data[os.write(writer.fileno(), data) :]
            # A file that is open for writing cannot be executed.
            return opened(f"/proc/self/fd/{writer.fileno()}")
    except OSError:
        return None
