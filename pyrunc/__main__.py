# SPDX-License-Identifier: Apache-2.0
"""The command as an ordinary Python program: `python -m pyrunc`, and `pyrunc` of an
installation without the static executable, which does in csrc/image/renew.c what is done here."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from pyrunc.cli.main import main as command


def main() -> NoReturn:
    """Run the command line of this process, and end it."""
    _fill_streams()
    # A command ends before collecting garbage pays.
    gc.disable()
    command()


def _fill_streams() -> None:
    """A descriptor 0, 1 or 2 that is missing would be taken by the next open, and become the
    container's stdio or the target of an error message. For Python it is None."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


if __name__ == "__main__":
    main()
