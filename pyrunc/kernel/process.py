# SPDX-License-Identifier: Apache-2.0
"""Typed calls into the C core: processes, descriptors, limits. Knows nothing of OCI."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pyrunc.errors import KernelError
from pyrunc.kernel._core import ffi, lib

_LONGEST_MS = (1 << 31) - 1


def _check(result: int, step: str, call: str, thing: str = "") -> int:
    if result < 0:
        raise KernelError(step, call, -result, thing)
    return result


def sealed_memfd(name: str, data: bytes, *, executable: bool = False) -> int:
    """A memory file that can no longer be changed.

    Args:
        name: shown in /proc.
        data: its whole content.
        executable: whether it may be executed; it is then not writable by mode either.

    Returns:
        A descriptor, close-on-exec.

    Raises:
        KernelError: memfd_create(2), write or fcntl F_ADD_SEALS failed.
    """
    fd: int = lib.pyrunc_sealed_memfd(name.encode(), data, len(data), executable)
    return _check(fd, "make a sealed memfd", "memfd_create", name)


def open_sealed(directory: str, name: str) -> int:
    """A program opened so that a process that gets its descriptor cannot write to its file
    (CVE-2019-5736): through a read-only overlay of its directory that is attached nowhere, or a
    read-only clone of the mount. For hosts where no memory file may be executed
    (vm.memfd_noexec=2) or be of its size (RLIMIT_FSIZE).

    Args:
        directory: where it is, absolute.
        name: of the program.

    Returns:
        A descriptor, close-on-exec.

    Raises:
        KernelError: a call failed; EPERM without CAP_SYS_ADMIN.
    """
    failed = ffi.new("const char **")
    fd: int = lib.pyrunc_open_sealed(os.fsencode(directory), os.fsencode(name), failed)
    call = ffi.string(failed[0]).decode() if fd < 0 else ""
    return _check(fd, "open a sealed copy of", call, f"{directory}/{name}")


def spawn(
    *,
    exe: int,
    flags: int,
    cgroup: int,
    stdio: tuple[int, int, int],
    first_fd: int,
    fds: list[int],
    interrupt: int = -1,
    timeout: float | None = None,
) -> tuple[int, int]:
    """Start pyrunc-init: clone3(2), into a cgroup if given, and execveat(2), without a copy of
    this process's page tables.

    Args:
        exe: descriptor of the sealed program.
        flags: CLONE_NEW* flags.
        cgroup: descriptor of a cgroup v2 directory to start in, or -1.
        stdio: what becomes 0, 1 and 2.
        first_fd: where `fds` go, one after the other; 3 to first_fd - 1 are kept.
        fds: descriptors to pass; -1 leaves the place closed.
        interrupt: a descriptor; once it is readable the process is not waited for, or -1.
        timeout: seconds; a frozen cgroup lets nothing that is started in it go on.

    Returns:
        The pid, and a pidfd that is close-on-exec.

    Raises:
        KernelError: with the system call that failed; EINTR and ETIMEDOUT for the last two.
    """
    array = ffi.new("int[]", fds)
    request = ffi.new("struct pyrunc_spawn *")
    request.flags = flags
    request.cgroup_fd = cgroup
    request.exe_fd = exe
    request.stdio = stdio
    request.fds = array
    request.fd_count = len(fds)
    request.first_fd = first_fd
    request.interrupt_fd = interrupt
    request.timeout_ms = -1 if timeout is None else max(0, min(int(timeout * 1000), _LONGEST_MS))
    pid: int = lib.pyrunc_spawn(request)
    if pid < 0:
        call = ffi.string(request.failed_call).decode()
        raise KernelError("start the container's process", call, -pid)
    return pid, int(request.pidfd)


def pipe(step: str, *, blocking: bool = True) -> tuple[int, int]:
    """Both ends of a pipe, close-on-exec.

    Args:
        step: what it is for, in messages.
        blocking: otherwise neither end waits.

    Raises:
        KernelError: pipe2(2) failed.
    """
    try:
        return os.pipe2(os.O_CLOEXEC if blocking else os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KernelError(step, "pipe2", error.errno or 0) from None


def spawn_program(
    path: str, args: Sequence[str], env: Sequence[str], directory: str, stdin: int, output: int
) -> int:
    """Start a program of the host in a session of its own, as posix_spawn(3) does.

    Args:
        path: absolute path of the program.
        args: its arguments, args[0] included.
        env: its whole environment, as "NAME=value".
        directory: where it starts.
        stdin: becomes its standard input.
        output: becomes its standard output and error.

    Returns:
        Its pid.

    Raises:
        OSError: it could not be started; also where `directory` cannot be entered.
    """
    texts = [[ffi.new("char[]", os.fsencode(word)) for word in words] for words in (args, env)]
    argv, envp = (ffi.new("char *[]", [*words, ffi.NULL]) for words in texts)
    pid: int = lib.pyrunc_spawn_program(
        os.fsencode(path), argv, envp, os.fsencode(directory), stdin, output
    )
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid), path)
    return pid


def prlimit(pid: int, name: str, soft: int, hard: int) -> None:
    """prlimit(2) for another process; `name` as in config.json, values in its units."""
    result = lib.pyrunc_prlimit(pid, getattr(lib, name), soft, hard)
    _check(result, "set", "prlimit", f"{name} to {soft}:{hard}")


def set_subreaper(on: bool) -> None:
    """Adopt orphaned descendants (PR_SET_CHILD_SUBREAPER)."""
    _check(lib.pyrunc_set_subreaper(on), "become a subreaper", "prctl")


def namespace_type(fd: int) -> int:
    """The CLONE_NEW* flag of a namespace's descriptor, or -errno if it is not one."""
    kind: int = lib.pyrunc_namespace_type(fd)
    return kind


def netlink_in(namespace: int) -> int:
    """A socket of rtnetlink(7) in a network namespace, by its descriptor; close-on-exec."""
    fd: int = lib.pyrunc_netlink_in(namespace)
    return _check(fd, "enter", "setns", "the network namespace")


def close_on_exec_from(first: int) -> None:
    """Mark every descriptor from `first` on close-on-exec."""
    _check(lib.pyrunc_close_on_exec_from(first), "close descriptors", "close_range")


def copy_window_size(source: int, target: int) -> None:
    """Give one terminal the size of another; terminals without a size are left alone."""
    lib.pyrunc_window_size(source, target)
