# SPDX-License-Identifier: Apache-2.0
"""resources.network to the files of net_cls and net_prio (v1 only). Pure."""

from __future__ import annotations

from pyrunc.cgroups.write import KEYED, Limit
from pyrunc.errors import UnsupportedError
from pyrunc.spec.model_resources import Network


def check_v2(network: Network, base: str) -> None:
    """Refuse what is not supported on cgroup v2.

    Raises:
        SpecError: a class or a priority is asked for.
    """
    for name in ("classID", "priorities"):
        if getattr(network, name):
            raise UnsupportedError(
                "network controllers are not supported on cgroup v2",
                pointer=f"{base}/network/{name}",
                hint="use a filter that matches the cgroup: iptables -m cgroup --path, or eBPF",
            )


def classes(network: Network) -> list[Limit]:
    """The value for net_cls. 0 is "not set", which is also the kernel's default."""
    if not network.classID:
        return []
    return [Limit("net_cls.classid", str(network.classID), "/network/classID")]


def priorities(network: Network) -> list[Limit]:
    """The values for net_prio: a line for each interface, of the caller's network namespace."""
    return [
        Limit(
            "net_prio.ifpriomap",
            f"{entry.name} {entry.priority}",
            f"/network/priorities/{index}",
            compare=KEYED,
            hint=f"is there a network interface {entry.name} here?",
        )
        for index, entry in enumerate(network.priorities)
    ]
