# SPDX-License-Identifier: Apache-2.0
"""Starts further processes in a container: for `Container.popen`, `exec`, `exec_foreground`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from socket import AF_UNIX, SOCK_STREAM, socket, socketpair
from time import monotonic
from typing import Any, BinaryIO

from pyrunc import keywords
from pyrunc.errors import NotReady, UsageError, one_line, reported
from pyrunc.kernel import calls
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.keywords import ExecKeywords, Stream
from pyrunc.lifecycle import caller_io, exec, exec_process, store
from pyrunc.lifecycle.foreground import receive_master
from pyrunc.lifecycle.handshake import Child
from pyrunc.lifecycle.launch import Descriptors
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.store import Entry
from pyrunc.limits import Limits
from pyrunc.plan.joining import for_exec
from pyrunc.process import DEVNULL, PIPE, STDOUT, Completed, ExecTimeout, Process
from pyrunc.spec import load
from pyrunc.spec.model import Spec
from pyrunc.spec.model_resources import Resources


class _Streams:
    """The descriptors for 0 to 2, and our ends of the pipes among them."""

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        self.ours: list[BinaryIO | None] = [None, None, None]
        self._theirs = Descriptors()
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
            with reported("open", "open", os.devnull):
                return self._theirs.keep(opened(os.devnull, os.O_RDWR))
        if stream == STDOUT and index == 2:
            return self.theirs[1]
        if stream == PIPE:
            reader, writer = calls.pipe("make a stream")
            mine, other = (writer, reader) if index == 0 else (reader, writer)
            self.ours[index] = os.fdopen(mine.take(), "wb" if index == 0 else "rb", 0)
            return self._theirs.keep(other)
        return stream if isinstance(stream, int) else stream.fileno()

    def close(self, *, both: bool = False) -> None:
        """Close the container's ends, of which it has copies; with `both`, ours too."""
        self._theirs.close()
        for end in self.ours if both else ():
            if end:
                end.close()


def popen(
    root: str,
    container_id: str,
    args: Sequence[str],
    given: ExecKeywords,
    deadline: float | None = None,
) -> Process:
    """As `Container.popen`; it has to be ready by the deadline."""
    caller_io.check_preserved(given.get("preserve_fds", 0))
    with store.open_entry(root, container_id) as entry:
        state = entry.state()
        exec.check_status(entry, state, given.get("ignore_paused", False))
        warnings: list[str] = []
        spec = _spec(entry, state, words(args), given, warnings)
        limits = given.get("limits")
        request = exec.ExecRequest(
            preserve_fds=given.get("preserve_fds", 0),
            cgroup=given.get("cgroup") or {},
            own_cgroup=given.get("own_cgroup", False),
            limits=None if limits is None else _resources(limits),
            ignore_paused=given.get("ignore_paused", False),
            deadline=deadline,
            signals=given.get("signals"),
        )
        streams = _Streams(given.get("stdin"), given.get("stdout"), given.get("stderr"))
        request.stdio = (streams.theirs[0], streams.theirs[1], streams.theirs[2])
        started = _Start(entry, state, spec, request)
        try:
            started.prepare(given)
            made = started.run(given.get("pidfd_socket"), given.get("pid_file"))
        except BaseException:
            streams.close(both=True)
            raise
        finally:
            streams.close()
            started.close()
    made.stdin, made.stdout, made.stderr = streams.ours
    try:
        for text in warnings:
            keywords.warn_by(given)(one_line(text))
    except BaseException:
        made.kill()
        made.wait()
        raise
    return made


def words(args: Sequence[str]) -> tuple[str, ...]:
    """The program and its arguments, as a tuple.

    Raises:
        TypeError: a string: no shell splits it, and its letters would become the arguments.
    """
    if isinstance(args, (str, bytes)):
        raise TypeError(f"args: a sequence of words, not a string: {args.split()!r}?")
    return tuple(args)


def _spec(
    entry: Entry,
    state: State,
    args: tuple[str, ...],
    given: ExecKeywords,
    warnings: list[str],
) -> Spec:
    """The container's configuration with the process to run."""
    spec = exec_process.of_container(entry)
    process = given.get("process")
    changes = keywords.members(given, exec_process.ExecOptions)
    if process is None:
        options = exec_process.ExecOptions(args, **changes)
        wanted = exec_process.changed(state, spec, options, warnings)
    elif args or changes:
        raise UsageError("a process object is complete: it takes no arguments or changes")
    elif isinstance(process, str):
        wanted = exec_process.read_process(process, warnings, given.get("signals"))
    else:
        wanted = load.decode_process(process, "process", warnings)
    exec_process.complete(wanted, spec)
    return for_exec(spec, wanted)


def _resources(limits: Limits | dict[str, Any]) -> Resources:
    asked = limits if isinstance(limits, dict) else limits.to_resources()
    if "devices" in asked:
        raise UsageError("limits: device rules can only be set for the container")
    return load.decode_resources(asked, "limits")


class _Start:
    """A start in progress: what it holds until the process runs."""

    def __init__(self, entry: Entry, state: State, spec: Spec, request: exec.ExecRequest) -> None:
        self.entry = entry
        self.state = state
        self.spec = spec
        self.request = request
        self._fds = Descriptors()
        self._receiver: socket | None = None

    def prepare(self, given: ExecKeywords) -> None:
        """Connect the console socket, or have the terminal's master sent to this process."""
        assert self.spec.process is not None
        terminal, console = self.spec.process.terminal, given.get("console_socket")
        if given.get("detached") or console is not None or not terminal:
            caller_io.check_terminal(terminal, console is not None, detached=True)
        if isinstance(console, str):
            connection = caller_io.connected(console, "console")
            self.request.console_socket = self._fds.keep(Descriptor(connection.detach()))
        elif console is not None:
            self.request.console_socket = console
        elif terminal:
            self.own_terminal()

    def close(self) -> None:
        """Close what only the start needed."""
        self._fds.close()
        if self._receiver:
            self._receiver.close()

    def own_terminal(self) -> None:
        """Have the terminal's master sent to this process."""
        with reported("make a terminal", "socketpair"):
            self._receiver, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        self.request.console_socket = self._fds.keep(Descriptor(theirs.detach()))

    def run(self, pidfd_socket: str | None, pid_file: str | None) -> Process:
        """Join the container, serve the pidfd socket and the pid file, and let the process run."""
        child = exec.join(self.entry, self.state, self.spec, self.request)
        try:
            return self._release(child, pidfd_socket, pid_file)
        except BaseException as error:
            child.kill()
            if child.sub_cgroup:
                child.sub_cgroup.end()
            if exec.is_unanswered(error):
                exec.refuse_if_ending(self.state)
            raise
        finally:
            child.close()

    def _release(self, child: Child, pidfd_socket: str | None, pid_file: str | None) -> Process:
        assert self.spec.process is not None
        master = None
        if self._receiver:
            master = os.fdopen(receive_master(self._receiver).take(), "r+b", 0)
        if pidfd_socket is not None:
            caller_io.send_pidfd(pidfd_socket, child.pidfd.fileno(), b"setns")
        # Before the pid file, which a failure here would leave behind.
        oom_kills = child.sub_cgroup.cgroup.oom_kills if child.sub_cgroup else None
        before = oom_kills() if oom_kills else 0
        if pid_file is not None:
            # Last: a caller that waits for it may signal the process at once.
            caller_io.write_pid_file(pid_file, child.pid)
        try:
            if self.request.ignore_paused:
                child.go()  # a frozen one reads it when it is resumed
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
    input: bytes | None,
    timeout: float | None,
    given: ExecKeywords,
) -> Completed:
    """As `Container.exec`."""
    if input is not None:
        given["stdin"] = PIPE
    deadline = None
    if timeout is not None:
        given.setdefault("own_cgroup", True)
        deadline = monotonic() + timeout
    try:
        process = popen(root, container_id, args, given, deadline)
    except NotReady:
        raise ExecTimeout(words(args), timeout or 0.0, None, None) from None
    try:
        left = None if deadline is None else max(0.0, deadline - monotonic())
        output, errors = process.communicate(input, left)
    except ExecTimeout as error:
        # With the caller's timeout, not what was left of it after the start.
        raise ExecTimeout(process.args, timeout or 0.0, error.output, error.errors) from None
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        process.close()
    return Completed(process.args, process.wait(), output, errors)
