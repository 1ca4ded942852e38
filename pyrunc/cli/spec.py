# SPDX-License-Identifier: Apache-2.0
"""pyrunc spec"""

from __future__ import annotations

import os

from pyrunc import cgroups
from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.errors import KernelError, PyruncError
from pyrunc.jsontext import dumps_indented
from pyrunc.spec.template import default_spec


def run(line: Line, log: Log) -> int:
    """Write a config.json to start from; an existing one is not touched."""
    path = os.path.join(line.options.get("bundle") or ".", "config.json")
    spec = default_spec(
        line.flag("rootless"), os.geteuid(), os.getegid(), cgroups.detect().kind == "v2"
    )
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise PyruncError("File config.json exists. Remove it first") from None
    except OSError as error:
        raise KernelError("write", "open", error.errno or 0, path) from None
    with os.fdopen(fd, "w") as file:
        file.write(dumps_indented(spec, "\t"))
    return 0
