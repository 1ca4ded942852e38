# SPDX-License-Identifier: Apache-2.0
"""All containers below a state root; changes nothing."""

from __future__ import annotations

import os
import pwd

from pyrunc.errors import ContainerNotFound, PyruncError, UsageError
from pyrunc.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


def listing(root: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The state of each container, with its owner.

    Args:
        root: the state root.

    Returns:
        The states in the order of the ids, and a line for each that cannot be read. What is
        deleted meanwhile, or not yet complete, is passed over.

    Raises:
        FileNotFoundError: there is no such directory.
    """
    from pyrunc.container import Container

    rows, problems = [], []
    for container_id in store.ids(root):
        try:
            state = Container.load(container_id, root=root).state
            state["owner"] = _owner(os.stat(f"{root}/{container_id}").st_uid)
        except (ContainerNotFound, FileNotFoundError):
            continue
        except PyruncError as error:
            problems.append(f"load container {container_id}: {error}")
            continue
        rows.append(state)
    return rows, problems


def matching(ids: Iterable[str], pattern: str) -> Iterator[str]:
    """The ids in which a regular expression finds something; "" is all.

    Raises:
        UsageError: it is none.
    """
    if not pattern:
        yield from ids
        return
    import re  # dearer than a mount: only who has a pattern pays for it

    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f'invalid regular expression "{pattern}": {error}') from None
    yield from (found for found in ids if compiled.search(found))


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
