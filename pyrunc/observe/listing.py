# SPDX-License-Identifier: Apache-2.0
"""All containers below a state root; changes nothing."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pyrunc.errors import ContainerNotFound, PyruncError, UsageError
from pyrunc.lifecycle import store
from pyrunc.lifecycle.status import boot_id, document, status_of


def listing(root: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The state of each container, with its owner.

    Args:
        root: the state root.

    Returns:
        The states in the order of the ids, and a line for each that cannot be read. What is
        deleted in the meantime, or not yet complete, is passed over.

    Raises:
        FileNotFoundError: there is no such directory.
    """
    with store.open_root(root) as above:
        return _listing(root, above.fileno())


def _listing(root: str, above: int) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    boot = boot_id()
    owners: dict[int, str] = {}  # a look-up reads all of /etc/passwd
    for container_id in store.ids(above):
        try:
            with store.open_entry(root, container_id, above) as entry:
                saved = entry.state()
                row = document(saved, status_of(entry, saved, boot))
                uid = os.fstat(entry.fd).st_uid
        except ContainerNotFound:
            continue
        except PyruncError as error:
            problems.append(f"load container {container_id}: {error}")
            continue
        if uid not in owners:
            owners[uid] = _owner(uid)
        row["owner"] = owners[uid]
        rows.append(row)
    return rows, problems


def found(root: str, pattern: str) -> list[str]:
    """The ids below a state root in which a regular expression finds something; "" is all.

    Raises:
        UsageError: the pattern is not valid.
    """
    try:
        above = store.open_root(root)
    except FileNotFoundError:
        return []
    with above:
        return [*matching(store.ids(above.fileno()), pattern)]


def matching(ids: Iterable[str], pattern: str) -> Iterator[str]:
    """As `found`, of these."""
    if not pattern:
        yield from ids
        return
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
