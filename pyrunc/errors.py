# SPDX-License-Identifier: Apache-2.0
"""Every exception pyrunc raises, and the hints that follow from a step and an errno.

    PyruncError                      anything that pyrunc reports
    ├── SpecError                    config.json is wrong (or another input document)
    │   └── UnsupportedError         config.json is right, this host's cgroups have no such thing
    ├── UsageError                   a command line or an argument is wrong
    ├── StateError                   the container is not in a state that allows this
    │   ├── ContainerExists
    │   ├── ContainerNotFound
    │   ├── ContainerNotRunning
    │   └── ForeignContainer
    ├── KernelError                  a system call failed: (step, syscall, errno, object)
    │   ├── StartError               ... inside the container, before its program ran
    │   │   └── ExecError            ... of the program itself
    │   └── CgroupError              ... on a cgroup file
    ├── BusError                     systemd could not be reached, or refused
    ├── HookError                    a hook failed or ran out of time
    ├── CriuError                    CRIU refused, or ended without an answer
    ├── NotReady                     a process was not ready in the time it was given
    ├── ExecFailed                   its exit code was to be checked (process.py)
    ├── ExecTimeout                  it ran out of time; a TimeoutError too (process.py)
    └── Interrupted                  a signal asked the command to end

An exception keeps its parts (what failed, where in config.json, the errno) to the end;
`str()` is the one line a user reads. Nothing in pyrunc parses that line again.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import Any

# Callers (containerd, docker, podman, cri-o) match these texts.
DOES_NOT_EXIST = "container does not exist"
EXISTS = "container with given ID already exists"
NOT_RUNNING = "container not running"


def errno_text(number: int) -> str:
    """The kernel's name for an errno, worded as Go words it: lower case.

    docker's command line and cri-o match these texts case-sensitively.
    """
    text = os.strerror(number)
    return text[:1].lower() + text[1:]


class PyruncWarning(UserWarning):
    """Something odd that is no error; issued where a caller passes no `warn`."""


class PyruncError(Exception):
    """Base of everything pyrunc raises on purpose.

    Args:
        message: what went wrong, one line, no trailing period.
        pointer: JSON pointer of the property at fault ("/mounts/3"), or "".
        hint: what the user can do about it, or "".
    """

    code = "error"
    exit_code = 1
    stage = ""  # what the command line puts before the message of a failing create or run

    def __init__(self, message: str, *, pointer: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message} [{self.pointer}]" if self.pointer else self.message
        return one_line(f"{text} ({self.hint})" if self.hint else text)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


class SpecError(PyruncError):
    """An input document breaks the OCI runtime specification.

    Args:
        message: what is wrong and why.
        pointer: JSON pointer of the offending value; "" is the whole document.
        hint: what to write instead.
        document: which document, "config.json" by default.
    """

    code = "spec"

    def __init__(
        self, message: str, *, pointer: str = "", hint: str = "", document: str = "config.json"
    ) -> None:
        super().__init__(message, pointer=pointer, hint=hint)
        self.document = document

    def __str__(self) -> str:
        where = f"{self.document}: {self.pointer}: " if self.pointer else f"{self.document}: "
        return one_line(where + self.message + (f" ({self.hint})" if self.hint else ""))


class UnsupportedError(SpecError):
    """The document is valid, and asks for something that this host's cgroups do not have."""

    code = "unsupported"


class UsageError(PyruncError):
    """A command line, or an argument of a library call, is wrong."""

    code = "usage"


class StateError(PyruncError):
    """The container's state does not allow the operation."""

    code = "state"


class ContainerExists(StateError):
    """There is a container of this id below the state root."""

    code = "exists"

    def __init__(self, message: str = EXISTS) -> None:
        super().__init__(message)


class ContainerNotFound(StateError):
    """There is no container of this id below the state root, or no longer."""

    code = "not-found"

    def __init__(self, message: str = DOES_NOT_EXIST) -> None:
        super().__init__(message)


class ContainerNotRunning(StateError):
    """The container has stopped, or its program has not been started."""

    code = "not-running"

    def __init__(self, message: str = NOT_RUNNING) -> None:
        super().__init__(message)


class ForeignContainer(StateError):
    """The id belongs to another runtime's container in the same state root."""

    code = "foreign"

    def __init__(self, container_id: str) -> None:
        super().__init__(
            f"container {container_id} is runc's, not pyrunc's",
            hint="use runc for it, or another --root for pyrunc",
        )
        self.args = (container_id,)


class KernelError(PyruncError):
    """A system call failed.

    Args:
        step: what pyrunc was doing ("mount", "join namespace").
        syscall: the call that failed, "" where several could have.
        errno: its error number.
        object: what it was done to: a path, a name, a number.
        pointer: JSON pointer of the property that asked for it.
        hint: overrides the hint table.
    """

    code = "kernel"

    def __init__(
        self,
        step: str,
        syscall: str,
        errno: int,
        object: str = "",
        *,
        pointer: str = "",
        hint: str = "",
    ) -> None:
        self.step = step
        self.syscall = syscall
        self.errno = errno
        self.object = object
        super().__init__(
            self.sentence(), pointer=pointer, hint=hint or hint_for(step, syscall, errno)
        )
        # A copy (pickle, copy) is built from the parts, not from the sentence.
        self.args = (step, syscall, errno, object)

    def sentence(self) -> str:
        """What failed, in words: ``mount proc on /proc: operation not permitted``."""
        what = f"{self.step} {self.object}" if self.object else self.step
        call = f": {self.syscall}" if self.syscall else ""
        return f"{what}{call}: {errno_text(self.errno)}"


class reported:  # noqa: N801 (used as a function: `with reported(...)`)
    """An OSError within is reported as a KernelError with these parts.

    A class, as a generator of contextlib takes ten times as many steps, at dozens of places of a
    `create`.
    """

    __slots__ = ("_parts",)

    def __init__(
        self, step: str, syscall: str, object: str = "", *, pointer: str = "", hint: str = ""
    ) -> None:
        self._parts = (step, syscall, object, pointer, hint)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            step, syscall, thing, pointer, hint = self._parts
            raise KernelError(
                step, syscall, error.errno or _errno.EIO, thing, pointer=pointer, hint=hint
            ) from None


class StartError(KernelError):
    """The container could not be made ready: a step inside it failed."""

    code = "start"
    stage = "unable to start container process: "


class ExecError(StartError):
    """The program that process.args names cannot be run; worded as Go's os/exec words it."""

    code = "exec"

    def __init__(self, message: str, errno: int, program: str) -> None:
        super().__init__("exec", "execve", errno, program, pointer="")
        self.message = message
        self.hint = ""
        self.args = (message, errno, program)


class CgroupError(KernelError):
    """A cgroup could not be made, joined, limited or removed."""

    code = "cgroup"


class BusError(PyruncError):
    """systemd could not be reached over D-Bus, or refused.

    Args:
        what: what was asked of it.
        reason: its answer, in words.
        name: the D-Bus error ("org.freedesktop.systemd1.UnitExists"), "" where there is none.
    """

    code = "systemd"

    def __init__(
        self, what: str, reason: str, name: str = "", *, pointer: str = "", hint: str = ""
    ) -> None:
        self.what = what
        self.reason = reason
        self.name = name
        super().__init__(f"{what}: {reason}", pointer=pointer, hint=hint)


class HookError(PyruncError):
    """A hook failed.

    Args:
        name: the list it is in ("createRuntime").
        index: its position in that list.
        reason: exit status, signal, timeout or errno, with what the hook printed.
    """

    code = "hook"
    stage = StartError.stage

    def __init__(self, name: str, index: int, reason: str) -> None:
        self.name = name
        self.index = index
        self.reason = reason
        super().__init__(
            f"error running {name} hook #{index}: {reason}", pointer=f"/hooks/{name}/{index}"
        )
        self.args = (name, index, reason)


class CriuError(PyruncError):
    """CRIU refused, or ended without an answer.

    Args:
        kind: of the answer, by its name in rpc.proto; "" where there was none.
        errno: that it gave, or 0.
        message: in its own words, or "".
    """

    code = "criu"

    def __init__(self, kind: str, errno: int, message: str = "") -> None:
        self.kind = kind
        self.errno = errno
        text = f"criu failed: type {kind} errno {errno}" if kind else f"criu failed: {message}"
        # podman's tests look for the first half.
        super().__init__(f"{text}: {message}" if kind and message else text)
        self.args = (kind, errno, message)


class NotReady(PyruncError):
    """pyrunc-init was not ready in the time it was given."""

    code = "not-ready"


class Interrupted(PyruncError):
    """A signal asked this process to end; what had been done is undone.

    Args:
        signal: its number.
    """

    code = "interrupted"

    def __init__(self, signal: int) -> None:
        self.signal = signal
        self.exit_code = 128 + signal
        super().__init__(f"interrupted by signal {signal}")
        self.args = (signal,)


# (step, syscall, errno) -> what the user can do. "" matches any step or call. One table, so
# that a hint is written once and every path to the same failure shows it.
HINTS: dict[tuple[str, str, int], str] = {
    ("", "clone3", _errno.ENOSPC): "raise /proc/sys/user/max_*_namespaces",
    ("", "unshare", _errno.ENOSPC): "raise /proc/sys/user/max_*_namespaces",
    ("", "clone3", _errno.EPERM): "run as root, or ask for a user namespace",
    ("", "unshare", _errno.EPERM): "run as root, or ask for a user namespace",
    ("", "clone3", _errno.EAGAIN): "the limit on processes (RLIMIT_NPROC, pids.max) is reached",
    ("", "setns", _errno.EINVAL): "the path is not a namespace of that type",
    ("", "fsopen", _errno.ENODEV): "the kernel does not know this filesystem type",
    ("", "bpf", _errno.EPERM): "the device filter needs CAP_BPF or CAP_SYS_ADMIN",
    ("", "pivot_root", _errno.EINVAL): (
        "the root filesystem cannot be pivoted away from: is it a ramfs?"
    ),
    ("set ids", "", _errno.EINVAL): "the id is not mapped in the user namespace",
    ("", "mkdir", _errno.EROFS): "the directory is on a read-only filesystem",
}


def hint_for(step: str, syscall: str, errno: int) -> str:
    """The hint for a failure, or "". The most specific row wins."""
    for key in ((step, syscall, errno), (step, "", errno), ("", syscall, errno)):
        if key in HINTS:
            return HINTS[key]
    return ""


def json_pointer(*names: object) -> str:
    """The JSON pointer (RFC 6901) of a member, from the names on the way to it."""
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def one_line(text: str) -> str:
    """The text with line breaks and control bytes escaped: a message is one line.

    Names in a message come from config.json; a raw newline in one would forge a log record.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _rebuild(cls: type[PyruncError], args: tuple[Any, ...], fields: dict[str, Any]) -> PyruncError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(fields)
    return error
