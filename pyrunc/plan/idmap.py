# SPDX-License-Identifier: Apache-2.0
"""Bind mounts whose owners are mapped (`idmap`, `ridmap`, mounts[].uidMappings); pure.

The kernel wants a right over the source's filesystem for it, which is lost inside the
container's user namespace: so the parent makes these mounts, detached, and passes them on.
"""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.plan.context import is_mapped
from pyrunc.plan.mounts import host_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.context import Context
    from pyrunc.spec.model import Mount
    from pyrunc.spec.model_linux import IDMapping


class IdMapped:
    """One mount for the parent to make.

    Attributes:
        source: path on the host.
        tree: all mounts below it too (rbind).
        deep: all of them are mapped (ridmap), not only the first.
        uids, gids: the maps.
        namespace: path of the user namespace that holds the maps, in their place.
        pointer: of the mount.
    """

    __slots__ = ("deep", "gids", "namespace", "pointer", "source", "tree", "uids")

    def __init__(self, ctx: Context, mount: Mount, pointer: str) -> None:
        if not mount.source:
            raise SpecError("a bind mount needs a source", pointer=pointer + "/source")
        self.source = host_path(mount.source, ctx.options.bundle)
        self.tree = "rbind" in mount.options
        self.deep = "ridmap" in mount.options
        self.pointer = pointer
        self.namespace = ""
        self.uids: tuple[IDMapping, ...] = mount.uidMappings
        self.gids: tuple[IDMapping, ...] = mount.gidMappings
        if self.uids:
            return
        user = ctx.namespaces.get("user")
        linux = ctx.spec.linux
        if user is None or linux is None:
            raise SpecError(
                "an id-mapped mount needs mappings of its own, or those of a user namespace",
                pointer=pointer + "/options",
                hint="give it uidMappings and gidMappings",
            )
        self.uids, self.gids, self.namespace = linux.uidMappings, linux.gidMappings, user.path or ""


def find(ctx: Context) -> dict[int, IdMapped]:
    """The id-mapped mounts by their place in `mounts`.

    Raises:
        SpecError: there are no maps to use, it is no bind mount, or there is no right to.
    """
    found: dict[int, IdMapped] = {}
    for index, mount in enumerate(ctx.mounts):
        if not is_mapped(mount):
            continue
        pointer = f"/mounts/{index}"
        if "bind" not in mount.options and "rbind" not in mount.options:
            raise SpecError("only bind mounts can be id-mapped", pointer=pointer + "/options")
        if not ctx.facts.privileged:
            raise SpecError(
                "an id-mapped mount needs the host's root", pointer=pointer + "/options"
            )
        if ctx.brought(index):
            raise SpecError(
                "what another mount brings cannot be id-mapped: it is not there yet",
                pointer=pointer + "/source",
                hint="use that mount's own source",
            )
        found[index] = IdMapped(ctx, mount, pointer)
    return found
