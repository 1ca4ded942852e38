# SPDX-License-Identifier: Apache-2.0
"""Hooks that run in the runtime's namespaces: prestart, createRuntime, poststart, poststop."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from signal import SIGKILL
from typing import Any

from pyrunc import jsontext
from pyrunc.errors import HookError, KernelError, errno_text, reported
from pyrunc.kernel.calls import pipe, spawn_program
from pyrunc.kernel.descriptor import Descriptor
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.state import State
from pyrunc.spec.fields import decode_object
from pyrunc.spec.model import Hook, Hooks

_OUTPUT_KEPT = 64 << 10


def oci_state(state: State, status: str, pid: int) -> dict[str, Any]:
    """The state document of the specification, for hooks and `state`."""
    document = {
        "ociVersion": state.ociVersion,
        "id": state.id,
        "status": status,
        "pid": pid,
        "bundle": state.bundle,
    }
    if status == "stopped":
        del document["pid"]  # there is none
    if state.annotations:
        document["annotations"] = state.annotations
    return document


def decode(raw: object) -> Hooks:
    """The hooks that a saved state holds as JSON."""
    return decode_object(Hooks, raw)


def run_hooks(
    name: str, hooks: Sequence[Hook], document: dict[str, Any], signals: Signals | None = None
) -> None:
    """Run hooks one after the other, up to the first that fails.

    Args:
        name: the list they are from.
        hooks: in order.
        document: the state that each reads on its stdin; they start in its bundle.
        signals: those that end the wait for one, which is then killed.

    Raises:
        Interrupted: a signal asks this process to end.
        HookError: one failed, or timed out.
    """
    text = jsontext.dumps(document).encode()
    for index, hook in enumerate(hooks):
        _run(name, index, hook, document["bundle"], text, signals)


def _run(
    name: str, index: int, hook: Hook, bundle: str, text: bytes, signals: Signals | None
) -> None:
    reader, writer = pipe(f"run {name} hooks", blocking=False)
    with reader:
        with writer:
            os.set_blocking(writer.fileno(), True)
            pid = _spawn(name, index, hook, bundle, text, writer.fileno())
        _await(name, index, hook, pid, reader.fileno(), signals)


def _spawn(name: str, index: int, hook: Hook, bundle: str, text: bytes, output: int) -> int:
    # As in runc, a hook without `env` inherits the runtime's environment.
    env = hook.env
    if env is None:
        env = tuple(f"{key}={value}" for key, value in os.environ.items())
    with _file_of(text, name) as stdin:
        try:
            return spawn_program(
                hook.path, hook.args or (hook.path,), env, bundle, stdin.fileno(), output
            )
        except KernelError as error:
            reason = f"fork/exec {hook.path}: {errno_text(error.errno)}"
            raise HookError(name, index, reason) from None


def _file_of(text: bytes, name: str) -> Descriptor:
    """An open file to read the text from."""
    with reported(f"run {name} hooks", "memfd_create"):
        file = Descriptor(os.memfd_create("state.json", os.MFD_CLOEXEC))
        os.write(file.fileno(), text)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    return file


def _await(
    name: str, index: int, hook: Hook, pid: int, reader: int, signals: Signals | None
) -> None:
    """Wait for a hook to exit, or kill it."""
    try:
        with reported(f"run {name} hooks", "pidfd_open"):
            process = PidFd.of(pid)
        with process:
            output = _read_until_exit(process.fileno(), reader, hook.timeout, signals)
        if output is None:
            raise HookError(name, index, f"hook ran past specified timeout of {hook.timeout}s")
    except BaseException:
        os.killpg(pid, SIGKILL)
        os.waitpid(pid, 0)
        raise
    status = os.waitpid(pid, 0)[1]
    if status:
        raise HookError(name, index, describe(status, output + _read(reader)))


def _read_until_exit(
    pidfd: int, reader: int, timeout: int | None, signals: Signals | None
) -> bytes | None:
    """The output of a process until it exits; None on a timeout.

    Its exit ends this, not the end of the pipe: what it left running may keep that open.
    """
    deadline = time.monotonic() + timeout if timeout else None
    output = b""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(reader, select.POLLIN)
    if signals:
        poll.register(signals, select.POLLIN)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = dict(poll.poll(left))
        if reader in ready:
            chunk = _read(reader)
            output = (output + chunk)[:_OUTPUT_KEPT]
            if not chunk:
                poll.unregister(reader)
        if signals and signals.fileno() in ready:
            signals.check()
        if pidfd in ready:
            return output
        if not ready and deadline is not None:
            return None


def describe(status: int, output: bytes) -> str:
    """A wait status and the hook's output in words."""
    if os.WIFSIGNALED(status):
        reason = f"signal {os.WTERMSIG(status)}"
    else:
        reason = f"exit status {os.WEXITSTATUS(status)}"
    text = output[:_OUTPUT_KEPT].decode(errors="replace").strip()
    return f"{reason}, output: {text}" if text else reason


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _OUTPUT_KEPT)
    except BlockingIOError:
        return b""
