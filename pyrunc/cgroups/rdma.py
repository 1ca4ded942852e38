# SPDX-License-Identifier: Apache-2.0
"""resources.rdma to rdma.max. Pure; must not touch a cgroup."""

from __future__ import annotations

from pyrunc.cgroups.write import KEYED, Limit
from pyrunc.errors import json_pointer
from pyrunc.spec.model_resources import Rdma

_KEYS = (("hca_handle", "hcaHandles"), ("hca_object", "hcaObjects"))


def limits(devices: dict[str, Rdma]) -> list[Limit]:
    """The same file and values on v1 and v2: a line for each device."""
    found = []
    for name, device in devices.items():
        rows = ((key, getattr(device, member)) for key, member in _KEYS)
        values = " ".join(f"{key}={value}" for key, value in rows if value is not None)
        pointer = json_pointer("rdma", name)
        hint = "it has to be a device of /sys/class/infiniband"
        found.append(Limit("rdma.max", f"{name} {values}", pointer, compare=KEYED, hint=hint))
    return found
