# SPDX-License-Identifier: Apache-2.0
"""resources.hugepageLimits to the files of the hugetlb controller.

The size of a page becomes a part of a file name: spec/check_resources.py has seen to it that
it is a number and a unit (GHSA-5g49-rx9x-qfc6), and only a size that the host has passes here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from pyrunc.cgroups.write import BYTES, Limit, size
from pyrunc.errors import SpecError
from pyrunc.spec.model_resources import HugepageLimit

POOLS = "/sys/kernel/mm/hugepages"
_UNITS = (("GB", 20), ("MB", 10), ("KB", 0))


def sizes() -> list[str]:
    """The sizes of huge pages of this host, as the controller's files spell them ("2MB")."""
    try:
        names = os.listdir(POOLS)
    except FileNotFoundError:
        return []
    numbers = (name.removeprefix("hugepages-").removesuffix("kB") for name in names)
    return [spell(kb) for kb in sorted(int(n) for n in numbers if n.isdigit())]


def spell(kb: int) -> str:
    """A number of KB in the largest unit it reaches, as the kernel names the files."""
    for unit, shift in _UNITS:
        if kb >> shift:
            return f"{kb >> shift}{unit}"
    return "0KB"


def check(limits: Sequence[HugepageLimit], present: Sequence[str], base: str) -> None:
    """Refuse sizes that the host does not have.

    Args:
        limits: resources.hugepageLimits.
        present: from `sizes`.
        base: JSON pointer of the resources object.

    Raises:
        SpecError: with the pointer of the first such size.
    """
    for index, limit in enumerate(limits):
        if limit.pageSize not in present:
            raise SpecError(
                f"this host has no huge pages of {limit.pageSize}",
                pointer=f"{base}/hugepageLimits/{index}/pageSize",
                hint=f"it has {', '.join(present) or 'none'}",
            )


def limits(asked: Sequence[HugepageLimit], v2: bool) -> list[Limit]:
    """The values, in writing order: what is used, then what is reserved.

    Without the second a process could reserve pages that no other process gets, and fault in as
    few as it is allowed. It exists since Linux 5.7.
    """
    end = "max" if v2 else "limit_in_bytes"
    found = []
    for index, limit in enumerate(asked):
        unit = size(limit.pageSize[:-1])
        pointer = f"/hugepageLimits/{index}/limit"
        for kind in ("", ".rsvd"):
            file = f"hugetlb.{limit.pageSize}{kind}.{end}"
            value = str(limit.limit)
            found.append(Limit(file, value, pointer, compare=BYTES, unit=unit, optional=bool(kind)))
    return found
