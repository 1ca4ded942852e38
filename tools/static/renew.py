# SPDX-License-Identifier: Apache-2.0
"""In the image: renews what Python holds of the process at each start (csrc/image/renew.c).

What a module read from the process or the host at import is that of the build. A test searches
the modules for such values (tests/static).
"""

import _signal
import io
import os
import sys
import time

_VARIABLES = os.environ._data
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def renew(arguments, variables, ignored):
    """Initialise the process as CPython does.

    Args:
        arguments: argv.
        variables: "NAME=value" of the environment, as bytes.
        ignored: numbers of the signals that were ignored at the start.
    """
    sys.argv = arguments
    sys.orig_argv = arguments.copy()
    for variable in variables:
        name, found, value = variable.partition(b"=")
        if found and name:
            _VARIABLES.setdefault(name, value)  # the first one wins, as for getenv(3)
    _renew_signals(ignored)
    open_streams()


def open_streams():
    """Make the standard streams for the present descriptors."""
    for fd, (name, mode) in enumerate(_STREAMS):
        stream = _stream(fd, name, mode)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def drop_streams():
    """Drop the standard streams, and their buffers."""
    for name, _ in _STREAMS:
        setattr(sys, name, None)
        setattr(sys, f"__{name}__", None)


def _renew_signals(ignored):
    for number in ignored:
        _signal.signal(number, _signal.SIG_IGN)
    # As Python does: a write fails with EPIPE and EFBIG, and Control-C is an exception.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_IGN)
    if _signal.SIGINT not in ignored:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _stream(fd, name, mode):
    """A standard stream as CPython makes it."""
    try:
        raw = io.FileIO(fd, mode, closefd=False)
    except IsADirectoryError:
        raw = _over_directory(fd, mode)
    raw.name = f"<{name}>"
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    stream = io.TextIOWrapper(
        buffer,
        encoding="utf-8",
        errors="backslashreplace" if name == "stderr" else "surrogateescape",
        newline="\n",
        line_buffering=name == "stderr" or raw.isatty(),
    )
    stream.mode = mode
    return stream


def _over_directory(fd, mode):
    """A stream may be a directory, which FileIO refuses: it is made over /dev/null."""
    aside = os.dup(fd)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, fd)
    raw = io.FileIO(fd, mode, closefd=False)
    os.dup2(aside, fd)
    os.close(null)
    os.close(aside)
    return raw


def _time_zone(name):
    """Constants of `time` that depend on TZ: set when first used, not at the build."""
    if name not in ("timezone", "altzone", "daylight", "tzname"):
        raise AttributeError(f"module 'time' has no attribute {name!r}")
    time.tzset()
    return time.__dict__[name]


def forget():
    """Before the image is written: remove what `renew` sets again."""
    _VARIABLES.clear()
    for name in ("timezone", "altzone", "daylight", "tzname"):
        del time.__dict__[name]
    time.__getattr__ = _time_zone
    for number in _signal.valid_signals():
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except OSError:
            continue  # SIGKILL, SIGSTOP, and those that libc reserves
