# SPDX-License-Identifier: Apache-2.0
"""`start`: let a created container run its program."""

from __future__ import annotations

import errno
import os
import select
from _thread import start_new_thread  # not threading: docs/static.md
from socket import socket

from pyrunc.errors import PyruncError, StateError, reported
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle import notify
from pyrunc.lifecycle.delete import delete_locked
from pyrunc.lifecycle.hooks import decode, oci_state, run_hooks
from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import CREATED, PAUSED, STOPPED, is_alive, open_pidfd, status_of
from pyrunc.lifecycle.store import FIFO, STATE, Entry, open_entry

_REFUSALS = {
    STOPPED: "cannot start a container that has stopped",
    PAUSED: "cannot start a container in the paused state",
}


def await_create(root: str, container_id: str) -> None:
    """Wait for a `create` in progress; decision 65.

    Args:
        root: the state root, absolute.
        container_id: the container's id.

    Raises:
        ContainerNotFound: there is none with that id.
        PyruncError: the caller is a hook of that `create`, or it takes too long.
    """
    with open_entry(root, container_id) as entry:
        if not entry.has(STATE):
            entry.lock()


def start(
    entry: Entry,
    state: State,
    notify_socket: str = "",
    *,
    foreground: bool = False,
    signals: Signals | None = None,
) -> None:
    """Release the container's init, and run the poststart hooks once its program runs.

    Args:
        entry: the container's directory.
        state: its saved state.
        notify_socket: wait until the program is ready, and notify this socket.
        foreground: do not wait for that; the caller serves the program's streams.
        signals: those that end the waits, if they are caught.

    Raises:
        StateError: it is not in the state `created`.
        HookError: a poststart hook failed; the container is gone (runtime.md, "Lifecycle" 9).
    """
    entry.lock()  # of two starts at once, one finds the container running
    status = status_of(entry, state)
    if status != CREATED:
        raise StateError(_REFUSALS.get(status, "cannot start an already running container"))
    fifo = _open_fifo(entry, state)
    listener = None
    try:
        if state.notify and notify_socket:
            listener = notify.listen(entry.path)
        with reported("write", "write", f"{entry.path}/{FIFO}"):
            os.write(fifo.fileno(), b"0")
        # After the write: a start killed in between leaves a container that runs, listed as
        # created until the next start repairs that. The other way round it would never run.
        entry.unlink(FIFO)
        _await_exec(fifo.fileno(), signals)
    except BaseException:
        if listener is not None:
            listener.close()
        raise
    finally:
        fifo.close()
    # Released first: a hook may change the container, as by `update`, and `kill` and `delete`
    # must not wait for readiness.
    entry.unlock()
    if state.hooks.get("poststart"):
        try:
            _poststart(entry, state, signals)
        except BaseException:
            if listener is not None:
                listener.close()
            raise
    if listener is not None:
        if foreground:
            # The caller has to serve the terminal and the signals in the meantime.
            start_new_thread(_relay, (state, listener, notify_socket, None))
        else:
            _relay(state, listener, notify_socket, signals)


def _open_fifo(entry: Entry, state: State) -> Descriptor:
    with reported("open", "open", f"{entry.path}/{FIFO}"):
        try:
            return opened(FIFO, os.O_WRONLY | os.O_NONBLOCK, dir_fd=entry.fd)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
    # There is no reader: init died, or a start was killed between its last two steps.
    entry.unlink(FIFO)
    if not is_alive(state):
        raise StateError(_REFUSALS[STOPPED])
    raise StateError("cannot start an already running container")


def _await_exec(fifo: int, signals: Signals | None) -> None:
    """Wait until the only reader, init's close-on-exec descriptor, is gone: it has executed the
    program, or died."""
    poll = select.poll()
    poll.register(fifo, 0)
    if signals:
        poll.register(signals, select.POLLIN)
    while fifo not in dict(poll.poll()):
        if signals:
            signals.check()


def _poststart(entry: Entry, state: State, signals: Signals | None) -> None:
    try:
        document = oci_state(state, "running", state.pid)
        run_hooks("poststart", decode(state.hooks).poststart, document, signals)
    except PyruncError as error:
        try:
            entry.lock()
            # A hook may have deleted it before the next one failed.
            warnings = (
                delete_locked(entry, state, force=True, signals=signals)
                if entry.is_linked()
                else []
            )
        except PyruncError as second:
            error.hint = f"cleaning up failed too: {second}; pyrunc delete --force"
        else:
            error.hint = "; ".join(warnings) or error.hint
        raise


def _relay(state: State, listener: socket, manager: str, signals: Signals | None) -> None:
    with listener, open_pidfd(state) or PidFd() as pidfd:
        if pidfd.is_open:
            notify.relay(listener, manager, pidfd.fileno(), state.pid, signals)
