# SPDX-License-Identifier: Apache-2.0
"""The C core (csrc/core), typed: the only module that knows cffi's. A call that fails raises
KernelError with its name, its errno and what it was done to. Knows nothing of OCI."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from pyrunc.errors import KernelError
from pyrunc.kernel._core import ffi, lib
from pyrunc.kernel.descriptor import Descriptor
from pyrunc.kernel.pidfd import PidFd

_LONGEST_MS = (1 << 31) - 1
_BPF_INSTRUCTION = 8
# The verifier gives up with EAGAIN when a signal comes in.
_BPF_TRIES = 30
_BPF_LOG = 1 << 16
# The kernel attaches at most 64 programs to one cgroup (BPF_CGROUP_MAX_PROGS).
_BPF_PROGRAMS = 64


def _check(result: int, step: str, call: str, thing: str = "") -> int:
    if result < 0:
        raise KernelError(step, call, -result, thing)
    return result


def number(name: str) -> int:
    """A constant of the kernel's headers, as the C compiler read it."""
    return int(getattr(lib, name))


def sealed_memfd(name: str, data: bytes, *, executable: bool = False) -> Descriptor:
    """A memory file that can no longer be changed, close-on-exec.

    Args:
        name: shown in /proc.
        data: its whole content.
        executable: whether it may be executed; it is then not writable by mode either.

    Raises:
        KernelError: memfd_create(2), write or fcntl F_ADD_SEALS failed.
    """
    fd: int = lib.pyrunc_sealed_memfd(name.encode(), data, len(data), executable)
    return Descriptor(_check(fd, "make a sealed memfd", "memfd_create", name))


def open_sealed(directory: str, name: str) -> Descriptor:
    """A program opened, close-on-exec, so that a process that gets its descriptor cannot write to
    its file (CVE-2019-5736): through a read-only overlay of its directory that is attached
    nowhere, or a read-only clone of the mount. For hosts where no memory file may be executed
    (vm.memfd_noexec=2) or be of its size (RLIMIT_FSIZE).

    Args:
        directory: where it is, absolute.
        name: of the program.

    Raises:
        KernelError: a call failed; EPERM without CAP_SYS_ADMIN.
    """
    failed = ffi.new("const char **")
    fd: int = lib.pyrunc_open_sealed(os.fsencode(directory), os.fsencode(name), failed)
    call = ffi.string(failed[0]).decode() if fd < 0 else ""
    return Descriptor(_check(fd, "open a sealed copy of", call, f"{directory}/{name}"))


@dataclass(slots=True, kw_only=True)
class Spawn:
    """What `spawn` starts; all descriptors are lent.

    Args:
        exe: the sealed program.
        flags: CLONE_NEW* flags.
        cgroup: a cgroup v2 directory to start in, or -1.
        stdio: what becomes 0, 1 and 2.
        first_fd: where `fds` go, one after the other; 3 to first_fd - 1 are kept.
        fds: descriptors to pass; -1 leaves the place closed.
    """

    exe: int
    flags: int = 0
    cgroup: int = -1
    stdio: tuple[int, int, int] = (0, 1, 2)
    first_fd: int = 3
    fds: list[int]


def spawn(what: Spawn, interrupt: int = -1, timeout: float | None = None) -> tuple[int, PidFd]:
    """Start pyrunc-init: clone3(2), into a cgroup if given, and execveat(2), without a copy of
    this process's page tables.

    Args:
        what: the process.
        interrupt: a descriptor; once it is readable the process is not waited for, or -1.
        timeout: seconds; a frozen cgroup lets nothing that is started in it go on.

    Returns:
        The pid, and a pidfd that is close-on-exec.

    Raises:
        KernelError: with the system call that failed; EINTR and ETIMEDOUT for the last two.
    """
    array = ffi.new("int[]", what.fds)
    request = ffi.new("struct pyrunc_spawn *")
    request.flags = what.flags
    request.cgroup_fd = what.cgroup
    request.exe_fd = what.exe
    request.stdio = what.stdio
    request.fds = array
    request.fd_count = len(what.fds)
    request.first_fd = what.first_fd
    request.interrupt_fd = interrupt
    request.timeout_ms = -1 if timeout is None else max(0, min(int(timeout * 1000), _LONGEST_MS))
    pid: int = lib.pyrunc_spawn(request)
    if pid < 0:
        call = ffi.string(request.failed_call).decode()
        raise KernelError("start the container's process", call, -pid)
    return pid, PidFd(request.pidfd)


def pipe(step: str, *, blocking: bool = True) -> tuple[Descriptor, Descriptor]:
    """Both ends of a pipe, close-on-exec.

    Args:
        step: what it is for, in messages.
        blocking: otherwise neither end waits.

    Raises:
        KernelError: pipe2(2) failed.
    """
    try:
        reader, writer = os.pipe2(os.O_CLOEXEC if blocking else os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KernelError(step, "pipe2", error.errno or 0) from None
    return Descriptor(reader), Descriptor(writer)


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
        KernelError: it could not be started; also where `directory` cannot be entered.
    """
    texts = [[ffi.new("char[]", os.fsencode(word)) for word in words] for words in (args, env)]
    argv, envp = (ffi.new("char *[]", [*words, ffi.NULL]) for words in texts)
    pid: int = lib.pyrunc_spawn_program(
        os.fsencode(path), argv, envp, os.fsencode(directory), stdin, output
    )
    return _check(pid, "start", "execve", path)


def prlimit(pid: int, name: str, soft: int, hard: int) -> None:
    """prlimit(2) for another process; `name` as in config.json, values in its units."""
    result = lib.pyrunc_prlimit(pid, number(name), soft, hard)
    _check(result, "set", "prlimit", f"{name} to {soft}:{hard}")


def set_subreaper(on: bool) -> None:
    """Adopt orphaned descendants (PR_SET_CHILD_SUBREAPER)."""
    _check(lib.pyrunc_set_subreaper(on), "become a subreaper", "prctl")


def namespace_type(fd: int) -> int:
    """The CLONE_NEW* flag of a namespace's descriptor, or -errno if it is not one."""
    kind: int = lib.pyrunc_namespace_type(fd)
    return kind


def netlink_in(namespace: int) -> Descriptor:
    """A socket of rtnetlink(7) in a network namespace, by its descriptor; close-on-exec."""
    fd: int = lib.pyrunc_netlink_in(namespace)
    return Descriptor(_check(fd, "enter", "setns", "the network namespace"))


def close_on_exec_from(first: int) -> None:
    """Mark every descriptor from `first` on close-on-exec."""
    _check(lib.pyrunc_close_on_exec_from(first), "close descriptors", "close_range")


def copy_window_size(source: int, target: int) -> None:
    """Give one terminal the size of another; terminals without a size are left alone."""
    lib.pyrunc_window_size(source, target)


def get_descriptor(pidfd: int, number: int) -> Descriptor:
    """A copy of another process's descriptor (pidfd_getfd(2)), close-on-exec.

    Raises:
        KernelError: it has none of that number, or we may not.
    """
    fd: int = lib.pyrunc_get_descriptor(pidfd, number)
    return Descriptor(_check(fd, "take a descriptor of pyrunc-init", "pidfd_getfd", str(number)))


def exit_status(pidfd: int) -> int | None:
    """The wait status (wait(2)) of a process that has been reaped, if this kernel reports it.

    Args:
        pidfd: opened while the process lived.

    Returns:
        The status, or None: not reaped yet, or a kernel before 6.15 (PIDFD_GET_INFO).
    """
    status = ffi.new("int *")
    return int(status[0]) if lib.pyrunc_exit_status(pidfd, status) == 0 else None


def watch_removals(directory: str) -> Descriptor:
    """A descriptor that can be read after something was removed from a directory (inotify(7)).

    Raises:
        KernelError: EMFILE is the limit fs.inotify.max_user_instances.
    """
    fd: int = lib.pyrunc_watch_removals(os.fsencode(directory))
    return Descriptor(_check(fd, "watch", "inotify_add_watch", directory))


# --- mounts ----------------------------------------------------------------------------------


def open_tree(path: str, *, recursive: bool) -> Descriptor:
    """Clone a mount, or a tree of them, attached nowhere.

    Args:
        path: where it is on the host.
        recursive: with the mounts below it.

    Raises:
        KernelError: open_tree(2) failed.
    """
    fd: int = lib.pyrunc_open_tree(os.fsencode(path), recursive)
    return Descriptor(_check(fd, "open mount source", "open_tree", path))


def map_ids(mount: int, user_namespace: int, *, recursive: bool, path: str) -> None:
    """Map the owners of a detached mount by a user namespace's maps (mount_setattr(2)).

    Args:
        mount: from `open_tree`.
        user_namespace: descriptor of the namespace.
        recursive: also of the mounts below it.
        path: for messages.

    Raises:
        KernelError: the filesystem has no id-mapped mounts (EINVAL), or no privilege for it.
    """
    result = lib.pyrunc_map_ids(mount, user_namespace, recursive)
    _check(result, "map the ids of", "mount_setattr", path)


# --- BPF device programs of cgroups ----------------------------------------------------------


def bpf_load(code: bytes) -> Descriptor:
    """Load a device program.

    Args:
        code: its instructions, 8 bytes each.

    Raises:
        KernelError: of bpf(2); a note holds the verifier's log when it has one.
    """
    count = len(code) // _BPF_INSTRUCTION
    for _ in range(_BPF_TRIES):
        fd: int = lib.pyrunc_bpf_load(code, count, ffi.NULL, 0)
        if fd != -errno.EAGAIN:
            break
    log = ffi.NULL
    if fd in (-errno.EINVAL, -errno.EACCES):
        # Only a refused program is worth the log, which makes loading slower.
        log = ffi.new("char[]", _BPF_LOG)
        fd = lib.pyrunc_bpf_load(code, count, log, _BPF_LOG)
    try:
        return Descriptor(_check(fd, "load a program", "bpf"))
    except KernelError as error:
        if log:
            error.add_note(ffi.string(log).decode(errors="replace"))
        raise


def bpf_attached(cgroup: int) -> tuple[int, ...]:
    """The ids of the device programs attached to a cgroup itself."""
    ids = ffi.new("uint32_t[]", _BPF_PROGRAMS)
    count = _check(lib.pyrunc_bpf_query(cgroup, ids, _BPF_PROGRAMS), "query programs", "bpf")
    return tuple(int(ids[i]) for i in range(count))


def bpf_open(program: int) -> Descriptor:
    """A device program by its id."""
    return Descriptor(_check(lib.pyrunc_bpf_open(program), "open a program", "bpf"))


def bpf_id(program: int) -> int:
    """The id of a device program."""
    found = ffi.new("uint32_t *")
    _check(lib.pyrunc_bpf_id(program, found), "identify a program", "bpf")
    return int(found[0])


def bpf_attach(cgroup: int, program: int, replaced: int = -1) -> None:
    """Attach a device program next to the others, or in the place of one."""
    _check(lib.pyrunc_bpf_attach(cgroup, program, replaced), "attach a program", "bpf")


def bpf_detach(cgroup: int, program: int) -> None:
    """Detach a device program."""
    _check(lib.pyrunc_bpf_detach(cgroup, program), "detach a program", "bpf")
