# SPDX-License-Identifier: Apache-2.0
"""A container's seccomp filter: compiled once for all containers of a profile, and its agent.

Compiling Docker's profile takes 13 ms, which is more than the rest of `create`. Compiled filters
are kept below the state root, each under a hash of all that it depends on.
"""

from __future__ import annotations

import errno
import os
from _blake2 import blake2b
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

from pyrunc import jsontext
from pyrunc.errors import KernelError, PyruncError
from pyrunc.kernel import rights, seccomp
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.lifecycle import roots
from pyrunc.spec.model import Spec
from pyrunc.spec.model_linux import Seccomp
from pyrunc.spec.spelling import near
from pyrunc.version import VERSION

# No container id contains a colon.
_DIRECTORY = ":seccomp"
_KEPT = 64
# The kernel's limit (BPF_MAXINSNS), in bytes.
_LONGEST = 4096 * 8
# Of the files. In the first one a digest stood before the program.
_FORMAT = "2"
_SEND_SECONDS = 10.0


def compiled(spec: Spec, root: str, keep: bool = True) -> tuple[bytes | None, int]:
    """The filter of a container, and the flags to load it with.

    Args:
        spec: checked configuration.
        root: the state root, absolute.
        keep: the filter for the next container.

    Returns:
        None and 0 where it has no filter.

    Raises:
        KernelError: libseccomp refuses a rule.
    """
    profile = spec.linux.seccomp if spec.linux else None
    if profile is None or not profile.defaultAction:
        return None, 0
    flags = seccomp.flags(profile.flags, listens=profile.notifies)
    name = _name(profile)
    directory = f"{root}/{_DIRECTORY}"
    program = _kept(directory, name)
    if program is None:
        program = seccomp.compile_filter(profile)
        if not misspelt(spec, profile) and keep:  # otherwise not kept, so that each create warns
            roots.make_root(root)
            _keep(directory, name, program)
    return program, flags


def _name(profile: Seccomp) -> str:
    """Of all that a file depends on: its format, the compiler, the machine, and the profile.

    Lists come with their length, so that no two profiles have the same words.
    """
    words: list[object] = [_FORMAT, seccomp.version(), VERSION, os.uname().machine]
    words += (profile.defaultAction, profile.defaultErrnoRet)
    words += (len(profile.architectures), *profile.architectures)
    for rule in profile.syscalls:
        words += (rule.action, rule.errnoRet, len(rule.args))
        for one in rule.args:
            words += (one.index, one.op, one.value, one.valueTwo)
        words += (len(rule.names), *rule.names)
    text = "\0".join(map(str, words)).encode("utf-8", "surrogatepass")
    return str(blake2b(text, digest_size=16).hexdigest())


def misspelt(spec: Spec, profile: Seccomp) -> bool:
    """Warn of unknown system calls whose name is nearly that of a known one.

    Other unknown ones may be newer than libseccomp, as engines' profiles have them; so may those
    that differ in a digit only.
    """
    unknown = seccomp.unknown(profile)
    if not unknown:
        return False
    known = seccomp.known()
    found = False
    for index, place, name in unknown:
        likely = near(name, known)
        if likely and likely.strip("0123456789") != name.strip("0123456789"):
            where = f"/linux/seccomp/syscalls/{index}/names/{place}"
            spec.warnings.append(f'{where}: there is no such system call; is it "{likely}"?')
            found = True
    return found


def _opened(path: str) -> Descriptor:
    """The directory of kept filters.

    Raises:
        OSError: it cannot be opened.
        PyruncError: other users can write to it, and rename one filter to another's name: in a
            state root with the sticky bit they can make it first.
    """
    directory = opened(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        roots.refuse_shared(directory.fileno(), path)
    except BaseException:
        directory.close()
        raise
    return directory


def _kept(directory: str, name: str) -> bytes | None:
    """A filter compiled before; None unless only this user can have written it."""
    try:
        with _opened(directory) as above:
            file = opened(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=above.fileno())
    except (OSError, PyruncError):
        return None
    with file:
        found = os.fstat(file.fileno())
        if found.st_uid != os.geteuid() or found.st_mode & 0o7777 != 0o600 or not found.st_size:
            return None
        return os.read(file.fileno(), _LONGEST)


def _keep(directory: str, name: str, program: bytes) -> None:
    """Keep a program; a failure only costs time."""
    try:
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        with _opened(directory) as above:
            _write(above.fileno(), name, program)
    except (OSError, PyruncError):
        pass


def _write(above: int, name: str, program: bytes) -> None:
    names = os.listdir(above)
    for old in names if len(names) >= _KEPT else ():
        os.unlink(old, dir_fd=above)
    part = f"{name}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with opened(part, flags, 0o600, dir_fd=above) as file:
            # A filter cut short by a full disk or a crash might still load, and allow more: it
            # gets its name when all of it is there, and stays there.
            if os.write(file.fileno(), program) != len(program):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        # Atomically: another create may be reading.
        os.rename(part, name, src_dir_fd=above, dst_dir_fd=above)
    except OSError:
        os.unlink(part, dir_fd=above)
        raise


def hand_over(spec: Spec, state: dict[str, Any], pid: int, fd: int) -> None:
    """Send the listener of a filter to its agent (config-linux.md, seccomp).

    Args:
        spec: checked configuration.
        state: the container's state document.
        pid: the process that the filter is on.
        fd: the listener.

    Raises:
        KernelError: the agent cannot be reached.
    """
    assert spec.linux is not None
    assert spec.linux.seccomp is not None
    profile = spec.linux.seccomp
    path = profile.listenerPath or ""
    document = {
        "ociVersion": spec.ociVersion,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": profile.listenerMetadata or "",
        "state": state,
    }
    agent = socket(AF_UNIX, SOCK_STREAM)
    agent.settimeout(_SEND_SECONDS)
    text = jsontext.dumps(document).encode()
    call = "connect"
    try:
        agent.connect(path)
        call = "sendmsg"
        # The descriptor goes with the first part only; closing the connection ends the text.
        text = text[rights.send(agent, text, fd) :]
        call = "send"
        if text:
            agent.sendall(text)
    except OSError as error:
        # The agent has taken the descriptor, and closed without reading the rest: that is its own
        # choice, as long as it answers the filter.
        if call == "send" and error.errno in (errno.EPIPE, errno.ECONNRESET):
            return
        # Our own timeout has no errno.
        number = error.errno or errno.ETIMEDOUT
        raise KernelError(
            "send the seccomp listener to", call, number, path,
            pointer="/linux/seccomp/listenerPath",
        ) from None  # fmt: skip
    finally:
        agent.close()


# What pyrunc-init still has to call once the filter is in force.
_NEEDED = "read, write, close and execve"
_NEEDED_EARLY = (
    "prctl, fchown, setgroups, setresgid, setresuid, capset, chdir, getcwd, openat, fstat, "
    "close_range, fcntl"
)


def killed(spec: Spec) -> str:
    """The message for a process that its own filter killed before it was ready."""
    confined = spec.process is not None and spec.process.noNewPrivileges
    needed = _NEEDED if confined else f"{_NEEDED}, {_NEEDED_EARLY}"
    why = "" if confined else "; with noNewPrivileges only the first four"
    return (
        "the seccomp profile killed container init (SIGSYS): of system calls it must allow "
        f"{needed}{why} [/linux/seccomp]"
    )
