# SPDX-License-Identifier: Apache-2.0
"""A container's seccomp filter: compiled once for all containers of a profile, and its agent.

Compiling Docker's profile takes 13 ms, which is more than all else that `create` does. What was
compiled is kept below the state root, under a hash of all that it was made from.
"""

from __future__ import annotations

import errno
import marshal
import os
from _blake2 import blake2b
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

from pyrunc import jsontext
from pyrunc.errors import KernelError, PyruncError
from pyrunc.kernel import rights, seccomp
from pyrunc.lifecycle import roots
from pyrunc.spec.model import Spec
from pyrunc.spec.model_linux import Seccomp
from pyrunc.spec.spelling import near
from pyrunc.version import VERSION

# No id of a container has a colon.
_DIRECTORY = ":seccomp"
_KEPT = 64
# What the kernel takes (BPF_MAXINSNS), in bytes.
_LONGEST = 4096 * 8
_DIGEST = 16
_SEND_SECONDS = 10.0


def compiled(spec: Spec, root: str) -> tuple[bytes | None, int]:
    """The filter of a container, and the flags to load it with.

    Args:
        spec: checked configuration.
        root: the state root, absolute.

    Returns:
        None and 0 where it has no filter.

    Raises:
        KernelError: libseccomp refuses a rule.
    """
    profile = spec.linux.seccomp if spec.linux else None
    if profile is None or not profile.defaultAction:
        return None, 0
    flags = seccomp.flags(profile.flags, listens=profile.notifies)
    name = _name(spec.raw["linux"]["seccomp"])
    directory = f"{root}/{_DIRECTORY}"
    program = _kept(directory, name)
    if program is None:
        program = seccomp.compile_filter(profile)
        if not _misspelt(spec, profile):  # else compiled again, and told of each time
            roots.make_root(root)
            _keep(directory, name, program)
    return program, flags


def _name(raw: Any) -> str:
    """Of all that a program depends on: the text, who compiles, and for which machine."""
    try:
        # In JSON that takes longer than to read the filter. Of marshal's formats the first: it has
        # no references, so that equal values are the same bytes.
        text = marshal.dumps(raw, 0)
    except ValueError:  # a subclass of dict: an unknown member with a key twice
        text = jsontext.dumps(raw).encode()
    made_by = (seccomp.version(), VERSION, os.uname().machine)
    return _digest(b"\0".join([*map(str.encode, made_by), text])).hex()


def _misspelt(spec: Spec, profile: Seccomp) -> bool:
    """Tell of system calls that nobody knows and that are nearly another's name.

    Others may be newer than libseccomp, as engines' profiles have them; so may those that differ
    in a digit.
    """
    unknown = seccomp.unknown(profile)
    if not unknown:
        return False
    known = seccomp.known()
    told = False
    for index, place, name in unknown:
        likely = near(name, known)
        if likely and likely.strip("0123456789") != name.strip("0123456789"):
            where = f"/linux/seccomp/syscalls/{index}/names/{place}"
            spec.warnings.append(f'{where}: no system call is named so; is it "{likely}"?')
            told = True
    return told


def _opened(path: str) -> int:
    """The directory of what is kept, by descriptor.

    Raises:
        OSError: it cannot be opened.
        PyruncError: somebody else can write to it, and rename one filter to another's name:
            a state root with the sticky bit lets others make it before us.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        roots.refuse_shared(directory, path)
    except BaseException:
        os.close(directory)
        raise
    return directory


def _kept(directory: str, name: str) -> bytes | None:
    """What was compiled before; None unless nobody but us can have written it."""
    try:
        above = _opened(directory)
    except (OSError, PyruncError):
        return None
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except OSError:
        return None
    finally:
        os.close(above)
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or found.st_mode & 0o7777 != 0o600 or not found.st_size:
            return None
        data = os.read(fd, _LONGEST + _DIGEST)
    finally:
        os.close(fd)
    # A filter that a full disk or a crash has cut might still load, and let more pass.
    digest, program = data[:_DIGEST], data[_DIGEST:]
    return program if digest == _digest(program) else None


def _digest(data: bytes) -> bytes:
    return bytes(blake2b(data, digest_size=_DIGEST).digest())


def _keep(directory: str, name: str, program: bytes) -> None:
    """Keep a program; failing to do so costs time, and nothing else."""
    part = f"{name}.{os.getpid()}"
    try:
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        above = _opened(directory)
    except (OSError, PyruncError):
        return
    try:
        names = os.listdir(above)
        for old in names if len(names) >= _KEPT else ():
            os.unlink(old, dir_fd=above)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(part, flags, 0o600, dir_fd=above)
        try:
            os.write(fd, _digest(program) + program)
        finally:
            os.close(fd)
        # Whole or not at all: another create may be reading.
        os.rename(part, name, src_dir_fd=above, dst_dir_fd=above)
    except OSError:
        pass
    finally:
        os.close(above)


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
        # The descriptor goes with the first part only; the end of the connection ends the text.
        text = text[rights.send(agent, text, fd) :]
        call = "send"
        if text:
            agent.sendall(text)
    except OSError as error:
        # It has taken the descriptor, and closed without reading the rest: what it wants to know
        # is its own affair, as long as somebody answers the filter.
        if call == "send" and error.errno in (errno.EPIPE, errno.ECONNRESET):
            return
        # A time-out of ours has no errno.
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
    """What to say of a process that its own filter has killed before it was ready."""
    confined = spec.process is not None and spec.process.noNewPrivileges
    needed = _NEEDED if confined else f"{_NEEDED}, {_NEEDED_EARLY}"
    why = "" if confined else "; with noNewPrivileges only the first four"
    return (
        "the seccomp profile killed container init (SIGSYS): of system calls it must allow "
        f"{needed}{why} [/linux/seccomp]"
    )
