# SPDX-License-Identifier: Apache-2.0
"""pyrunc features"""

from __future__ import annotations

import sys

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.version import inside
from pyrunc.jsontext import dumps_indented
from pyrunc.kernel import seccomp
from pyrunc.observe.features import features
from pyrunc.version import VERSION


def run(line: Line, log: Log) -> int:
    """Print what this runtime can do."""
    found = features(seccomp.version(), version=VERSION)
    found["annotations"] |= {f"org.pyrunc.{name}.version": v for name, v in inside().items()}
    sys.stdout.write(dumps_indented(found, "    ") + "\n")
    return 0
