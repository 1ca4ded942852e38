# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a container that exists, beside its life itself (container.py)."""

from __future__ import annotations

from pyrunc.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Running:
    """A container that exists, known by its id and state root.

    Attributes:
        id: its id.
        root: the directory where its state is.
    """

    def __init__(self, root: str, container_id: str) -> None:
        self.id = container_id
        self.root = root

    def _read(self) -> dict[str, Any]:
        with store.open_entry(self.root, self.id) as entry:
            return entry.state()
