# SPDX-License-Identifier: Apache-2.0
"""What all containers below a state root have used, asked at once."""

from __future__ import annotations

from collections.abc import Callable

from pyrunc import keywords
from pyrunc.container import Container
from pyrunc.errors import ContainerNotFound, PyruncError
from pyrunc.observe.metrics import Observed, openmetrics


def metrics(root: str | None = None, *, warn: Callable[[str], None] | None = None) -> str:
    """Statistics of all containers, for Prometheus and its like.

    Args:
        root: the state root; None for the default one.
        warn: gets a line for each container that cannot be asked; without it they are Python's
            own warnings.

    Returns:
        OpenMetrics text. What is deleted in the meantime is passed over; of a container that has
        stopped, or has no cgroup, there is only the state.
    """
    rows = []
    for container_id in Container.list(root=root):
        try:
            rows.append(_observed(Container.load(container_id, root=root)))
        except ContainerNotFound:
            continue
        except PyruncError as error:
            keywords.warn_by({"warn": warn} if warn else {})(
                f"load container {container_id}: {error}"
            )
    return openmetrics(rows)


def _observed(container: Container) -> Observed:
    status = container.status
    try:
        stats = container.stats() if status != "stopped" else None
    except ContainerNotFound:
        raise
    except PyruncError:
        stats = None
    return Observed(id=container.id, status=status, stats=stats)
