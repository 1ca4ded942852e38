# SPDX-License-Identifier: Apache-2.0
"""A container in the foreground: what `Container.run` and `Container.run_restored` share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from socket import AF_UNIX, SOCK_STREAM, socketpair
from typing import Protocol, TypeVar, Unpack

from pyrunc import keywords
from pyrunc.errors import StateError, UsageError
from pyrunc.exits import Exit
from pyrunc.keywords import CallKeywords, CreateKeywords
from pyrunc.lifecycle import caller_io
from pyrunc.lifecycle.foreground import Pipes, Terminal, receive_master, serve
from pyrunc.lifecycle.signals import Signals

# pyrunc-init's exit code for a failure that only the container's stderr is left to report to.
_NOT_STARTED = 255


class Startable(Protocol):
    """What `run_foreground` runs: a `Container`."""

    has_terminal: bool

    def fileno(self) -> int:
        """A pidfd of its first process."""

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait for its end."""

    def delete(self, *, force: bool = False, **given: Unpack[CallKeywords]) -> None:
        """Remove it."""


C = TypeVar("C", bound=Startable)


def run_foreground(
    make: Callable[[CreateKeywords], C],
    begin: Callable[[C, Signals], None],
    given: CreateKeywords,
    *,
    keep: bool,
) -> Exit:
    """Make a container, serve it until it ends, and delete it.

    Args:
        make: makes it from `given` and what is added here.
        begin: lets it run; the signals that come in the meantime may end it.
        given: the caller's keywords.
        keep: leave it when it has stopped.

    Returns:
        How it ended.

    Raises:
        PyruncError: as `make` and `begin`; nothing is left of the container.
    """
    caller_io.check_preserved(given.get("preserve_fds", 0))
    if given.get("console_socket"):
        raise UsageError("cannot use console socket if runc will not detach or allocate tty")
    warn = keywords.warn_by(given)
    options = given.copy()
    with ExitStack() as held:
        ours, theirs = map(held.enter_context, socketpair(AF_UNIX, SOCK_STREAM))
        # Before the container is begun, so that no signal is missed.
        signals = Signals()
        held.callback(signals.restore)
        pipes = Pipes(given.get("stdio", (0, 1, 2)))
        streams: Terminal | Pipes = pipes
        held.callback(lambda: streams.restore())
        options["console_socket"] = theirs.fileno()
        options["signals"] = signals
        options["stdio"] = pipes.stdio
        container = make(options)
        try:
            if container.has_terminal:
                pipes.restore()
                streams = Terminal(receive_master(ours))
            else:
                pipes.started()
            _let_run(container, begin, signals)
            ended = serve(container, signals, streams)
        except BaseException:
            container.delete(force=True, signals=signals, warn=warn)
            raise
    if not keep:
        container.delete(force=True, warn=warn)
    return ended


def _let_run(container: C, begin: Callable[[C, Signals], None], signals: Signals) -> None:
    try:
        begin(container, signals)
    except StateError:
        try:
            code = container.wait(0).code
        except TimeoutError:
            code = None
        # Its init has exited by itself, with a line on its stderr: treated as any other exit.
        if code != _NOT_STARTED:
            raise
