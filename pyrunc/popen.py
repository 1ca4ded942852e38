# SPDX-License-Identifier: Apache-2.0
"""Starts further processes in a container: what `Container.popen`, `exec` and `attend` share."""

from __future__ import annotations

import os
from time import monotonic

from pyrunc.errors import UsageError, one_line
from pyrunc.kernel import process as kernel
from pyrunc.lifecycle import exec as joining
from pyrunc.lifecycle import handover, joiner, store
from pyrunc.lifecycle.handshake import NotReady
from pyrunc.lifecycle.state import State
from pyrunc.plan.joining import for_exec
from pyrunc.process import DEVNULL, PIPE, STDOUT, Completed, ExecFailed, ExecTimeout, Process
from pyrunc.spec import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Sequence
    from typing import Any, BinaryIO

    from pyrunc.lifecycle.handshake import Child
    from pyrunc.lifecycle.signals import Signals
    from pyrunc.lifecycle.store import Entry
    from pyrunc.limits import Limits
    from pyrunc.spec.model import Spec
    from pyrunc.spec.model_resources import Resources

    Stream = int | BinaryIO | None


class _Streams:
    """The descriptors for 0 to 2, and our ends of the pipes among them."""

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        self.ours: list[BinaryIO | None] = [None, None, None]
        self._close: list[int] = []
        self.theirs = [0, 1, 2]
        try:
            for index, stream in enumerate((stdin, stdout, stderr)):
                self.theirs[index] = self._one(index, stream)
        except BaseException:
            self.close(both=True)
            raise

    def _one(self, index: int, stream: Stream) -> int:
        if stream is None:
            return index
        if stream == DEVNULL:
            return self._keep(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        if stream == STDOUT and index == 2:
            return self.theirs[1]
        if stream == PIPE:
            reader, writer = kernel.pipe("make a stream")
            mine, other = (writer, reader) if index == 0 else (reader, writer)
            self.ours[index] = os.fdopen(mine, "wb" if index == 0 else "rb", 0)
            return self._keep(other)
        return stream if isinstance(stream, int) else stream.fileno()

    def _keep(self, fd: int) -> int:
        self._close.append(fd)
        return fd

    def close(self, *, both: bool = False) -> None:
        """Close the container's ends, which it has by now; and ours if it came to nothing."""
        while self._close:
            os.close(self._close.pop())
        for end in self.ours if both else ():
            if end:
                end.close()


def popen(
    root: str,
    container_id: str,
    args: Sequence[str],
    *,
    process: dict[str, Any] | str | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    console_socket: str | int | None = None,
    pidfd_socket: str | None = None,
    pid_file: str | None = None,
    preserve_fds: int = 0,
    cgroup: dict[str, str] | None = None,
    own_cgroup: bool = False,
    limits: Limits | dict[str, Any] | None = None,
    ignore_paused: bool = False,
    detached: bool = False,
    deadline: float | None = None,
    signals: Signals | None = None,
    **changes: Any,
) -> Process:
    """As `Container.popen`, which see."""
    handover.check_preserved(preserve_fds)
    with store.open_entry(root, container_id) as entry:
        state = entry.state()
        joining.check_status(entry, state, ignore_paused)
        warnings: list[str] = []
        spec = _spec(entry, state, words(args), process, changes, warnings, signals)
        assert spec.process is not None
        terminal = spec.process.terminal
        request = joining.Request(
            preserve_fds=preserve_fds,
            cgroup=cgroup,
            own_cgroup=own_cgroup,
            limits=None if limits is None else _resources(limits),
            ignore_paused=ignore_paused,
            deadline=deadline,
            signals=signals,
        )
        streams = _Streams(stdin, stdout, stderr)
        request.stdio = (streams.theirs[0], streams.theirs[1], streams.theirs[2])
        started = _Start(entry, state, spec, request)
        try:
            started.prepare(console_socket, terminal, detached)
            made = started.run(pidfd_socket, pid_file)
        except BaseException:
            streams.close(both=True)
            raise
        finally:
            streams.close()
            started.close()
        made.stdin, made.stdout, made.stderr = streams.ours
        made.warnings = [one_line(text) for text in warnings]
        return made


def words(args: Sequence[str]) -> tuple[str, ...]:
    """The program and its arguments, as a tuple.

    Raises:
        TypeError: a string, whose letters would be taken for arguments; no shell splits it here.
    """
    if isinstance(args, (str, bytes)):
        raise TypeError(f"args: a sequence of words, not a string: {args.split()!r}?")
    return tuple(args)


def _spec(
    entry: Entry,
    state: State,
    args: tuple[str, ...],
    process: dict[str, Any] | str | None,
    changes: dict[str, Any],
    warnings: list[str],
    signals: Signals | None,
) -> Spec:
    """The container's configuration with the process to run."""
    spec = joiner.of_container(entry)
    if process is None:
        wanted = joiner.changed(state, spec, joiner.Changes(args, **changes), warnings)
    elif args or changes:
        raise UsageError("a process object is whole: it cannot be given with arguments or changes")
    elif isinstance(process, str):
        wanted = joiner.read_process(process, warnings, signals)
    else:
        wanted = load.decode_process(process, "process", warnings)
    joiner.complete(wanted, spec)
    return for_exec(spec, wanted)


def _resources(limits: Limits | dict[str, Any]) -> Resources:
    asked = limits if isinstance(limits, dict) else limits.to_resources()
    if "devices" in asked:
        raise UsageError("limits: the rules for devices are those of the container")
    return load.decode_resources(asked, "limits")


class _Start:
    """A start under way: what it holds until the process runs."""

    def __init__(self, entry: Entry, state: State, spec: Spec, request: joining.Request) -> None:
        self.entry = entry
        self.state = state
        self.spec = spec
        self.request = request
        self._fds: list[int] = []
        self._receiver: socket | None = None

    def keep(self, fd: int) -> None:
        """Close this one when the process has its own copy."""
        self._fds.append(fd)

    def prepare(self, console_socket: str | int | None, terminal: bool, detached: bool) -> None:
        """Connect the console socket, or have the terminal's master sent to ourselves."""
        if detached or console_socket is not None or not terminal:
            handover.check_terminal(terminal, console_socket is not None, detached=True)
        if console_socket is not None:
            self.request.console_socket = handover.connected(console_socket, "console")
            if isinstance(console_socket, str):
                self.keep(self.request.console_socket)
        elif terminal:
            self.own_terminal()

    def close(self) -> None:
        """Let go of what was only for the start."""
        while self._fds:
            os.close(self._fds.pop())
        if self._receiver:
            self._receiver.close()

    def own_terminal(self) -> None:
        """Have the terminal's master sent to ourselves."""
        from _socket import AF_UNIX, SOCK_STREAM, socketpair

        self._receiver, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        self.request.console_socket = theirs.detach()
        self.keep(self.request.console_socket)

    def run(self, pidfd_socket: str | None, pid_file: str | None) -> Process:
        """Join the container, tell who is to know, and let the process run."""
        child = joining.join(self.entry, self.state, self.spec, self.request)
        try:
            return self._let_go(child, pidfd_socket, pid_file)
        except BaseException as error:
            child.kill()
            if child.sub_cgroup:
                child.sub_cgroup.end()
            if joining.is_unanswered(error):
                joining.refuse_if_ending(self.state)
            raise
        finally:
            child.close()

    def _let_go(self, child: Child, pidfd_socket: str | None, pid_file: str | None) -> Process:
        assert self.spec.process is not None
        master = None
        if self._receiver:
            from pyrunc.lifecycle.foreground import receive_master

            master = os.fdopen(receive_master(self._receiver), "r+b", 0)
        if pidfd_socket is not None:
            handover.send_pidfd(pidfd_socket, child.pidfd, b"setns")
        # Before the pid file, which a failure here would leave behind.
        oom_kills = child.sub_cgroup.cgroup.oom_kills if child.sub_cgroup else None
        before = oom_kills() if oom_kills else 0
        if pid_file is not None:
            # Last: who waits for it may signal the process at once.
            handover.write_pid_file(pid_file, child.pid)
        try:
            if self.request.ignore_paused:
                child.go()  # a frozen one hears it when it is resumed
            else:
                child.release()
        except BaseException:
            if pid_file is not None:
                os.unlink(pid_file)  # its absence tells conmon that nothing runs
            raise
        made = Process(self.spec.process.args, child)
        made.terminal = master
        if oom_kills:
            made.watch_oom(oom_kills, before)
        return made


def execute(
    root: str,
    container_id: str,
    args: Sequence[str],
    *,
    input: bytes | None,
    capture_output: bool,
    timeout: float | None,
    check: bool,
    **options: Any,
) -> Completed:
    """As `Running.exec`, which see."""
    if input is not None:
        options["stdin"] = PIPE
    if capture_output:
        options |= {"stdout": PIPE, "stderr": PIPE}
    if timeout is not None:
        options.setdefault("own_cgroup", True)
        options["deadline"] = deadline = monotonic() + timeout
    try:
        process = popen(root, container_id, args, **options)
    except NotReady:
        raise ExecTimeout(words(args), timeout or 0.0, None, None) from None
    try:
        left = None if timeout is None else max(0.0, deadline - monotonic())
        output, errors = process.communicate(input, left)
    except ExecTimeout as error:
        # Of all the time, not of what the start has left of it.
        raise ExecTimeout(process.args, timeout or 0.0, error.output, error.errors) from None
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        process.close()
    done = Completed(process.args, process.wait(), output, errors)
    if check and done.code != 0:
        raise ExecFailed(done)
    return done
