# SPDX-License-Identifier: Apache-2.0
"""Bind mounts whose owners are mapped (`idmap`, `ridmap`, mounts[].uidMappings); pure.

The kernel requires privileges over the source's filesystem for it, which are lost inside the
container's user namespace: so the parent makes these mounts, detached, and passes them on.
"""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.host.facts import HostFacts
from pyrunc.plan.context import Options, PlannedMount
from pyrunc.plan.plan import IdMapped
from pyrunc.spec.model import Spec


def is_mapped(planned: PlannedMount) -> bool:
    """Whether its owners are to be mapped: by an option, or because it has maps."""
    return bool(planned.mount.uidMappings) or planned.options.idmap


def mapped(planned: PlannedMount, spec: Spec, facts: HostFacts, options: Options) -> IdMapped:
    """What the parent has to make for an id-mapped mount.

    Raises:
        SpecError: there are no maps to use, it is not a bind mount, or no privilege for it.
    """
    mount, pointer = planned.mount, planned.pointer
    if not planned.options.bind:
        raise SpecError("only bind mounts can be id-mapped", pointer=pointer + "/options")
    if not facts.privileged:
        raise SpecError("an id-mapped mount needs the host's root", pointer=pointer + "/options")
    if planned.brought:
        raise SpecError(
            "what another mount brings cannot be id-mapped: it is not there yet",
            pointer=pointer + "/source",
            hint="use that mount's own source",
        )
    if not mount.source:
        raise SpecError("a bind mount needs a source", pointer=pointer + "/source")
    uids, gids, namespace = mount.uidMappings, mount.gidMappings, ""
    if not uids:
        linux = spec.linux
        users = [one for one in (linux.namespaces if linux else ()) if one.type == "user"]
        if linux is None or not users:
            raise SpecError(
                "an id-mapped mount needs mappings of its own, or those of a user namespace",
                pointer=pointer + "/options",
                hint="give it uidMappings and gidMappings",
            )
        uids, gids, namespace = linux.uidMappings, linux.gidMappings, users[0].path or ""
    return IdMapped(
        source=options.host_path(mount.source),
        tree=planned.options.recursive,
        deep=planned.options.ridmap,
        uids=uids,
        gids=gids,
        namespace=namespace,
        pointer=pointer,
    )
