# SPDX-License-Identifier: Apache-2.0
"""pyrunc metrics"""

from __future__ import annotations

import sys

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.scrape import metrics


def run(line: Line, log: Log) -> int:
    """Print what all containers below the state root have used, as OpenMetrics text."""
    sys.stdout.write(metrics(root(line), warn=lambda text: print(text, file=sys.stderr)))
    return 0
