# SPDX-License-Identifier: Apache-2.0
"""A container in the foreground: what `Container.run` and `Container.run_restored` share."""

from __future__ import annotations

from pyrunc.errors import StateError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.container import Container
    from pyrunc.lifecycle.signals import Signals


# pyrunc-init's own, for what fails when only the container's stderr is left to tell it to.
_NOT_STARTED = 255


def _let_run(
    container: Container, begin: Callable[[Container, Signals], None], signals: Signals
) -> None:
    try:
        begin(container, signals)
    except StateError:
        try:
            code = container.wait(0).code
        except TimeoutError:
            code = None
        # Its init has ended by itself, with a line on its stderr: attended to as any other end.
        if code != _NOT_STARTED:
            raise


def attended(
    make: Callable[..., Container],
    options: dict[str, Any],
    begin: Callable[[Container, Signals], None],
    *,
    keep: bool,
) -> tuple[int, list[str]]:
    """Make a container, attend to it until it ends, and delete it.

    Args:
        make: makes it, with `options` and what is added here.
        options: of the caller.
        begin: lets it run; the signals that come meanwhile may end it.
        keep: leave it when it has stopped.

    Returns:
        Its exit code, and warnings of poststop hooks.

    Raises:
        PyruncError: as `make` and `begin`; nothing is left of the container.
    """
    from _socket import AF_UNIX, SOCK_STREAM, socketpair

    from pyrunc.lifecycle import handover
    from pyrunc.lifecycle.foreground import Pipes, Terminal, attend, receive_master
    from pyrunc.lifecycle.signals import Signals

    handover.check_preserved(options.get("preserve_fds", 0))
    if options.get("console_socket"):
        raise UsageError("cannot use console socket if runc will not detach or allocate tty")
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    # Before the container is begun, so that no signal is missed.
    signals = Signals()
    pipes = Pipes(options.get("stdio", (0, 1, 2)))
    streams: Terminal | Pipes = pipes
    options = {
        **options, "console_socket": theirs.fileno(), "detached": False, "signals": signals,
        "stdio": pipes.stdio,
    }  # fmt: skip
    try:
        container = make(**options)
        try:
            if container.has_terminal:
                pipes.restore()
                streams = Terminal(receive_master(ours))
            else:
                pipes.started()
            _let_run(container, begin, signals)
            code = attend(container, signals, streams).code
        except BaseException:
            container.delete(force=True, signals=signals)
            raise
    finally:
        streams.restore()
        signals.restore()
        ours.close()
        theirs.close()
    assert code is not None  # it was our child
    return code, [] if keep else container.delete(force=True)
