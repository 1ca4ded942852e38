# SPDX-License-Identifier: Apache-2.0
"""--regex: a command for all containers whose ids match a regular expression."""

from __future__ import annotations

from collections.abc import Callable

from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import ContainerNotFound, PyruncError
from pyrunc.lifecycle import store


def for_each(line: Line, verb: str, act: Callable[[Container], object]) -> None:
    """Call `act` with each of them; the failure of one does not stop the others.

    No match is no error. Those that have been deleted in the meantime are skipped.

    Raises:
        UsageError: the regular expression is not valid.
        PyruncError: for all failures, in one line: a log file gets one record.
    """
    where = store.state_root(root(line))
    failures = []
    found = Container.list(root=where, pattern=line.arguments[0])
    for container_id in found:
        try:
            act(Container(where, container_id))
        except ContainerNotFound:
            continue
        except PyruncError as error:
            failures.append(f"{container_id}: {error}")
    if failures:
        raise PyruncError(
            f"could not {verb} {len(failures)} of {len(found)} containers: " + "; ".join(failures)
        )
