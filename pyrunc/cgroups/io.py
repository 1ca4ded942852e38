# SPDX-License-Identifier: Apache-2.0
"""resources.blockIO to the files of blkio (v1) and io (v2). Pure; must not touch a cgroup.

A weight of 0 is "not set", as in every Go runtime; a rate of 0 is "no limit", as in the v1 kernel.
"""

from __future__ import annotations

from collections.abc import Callable

from pyrunc.cgroups.write import FLAG, KEYED, Limit
from pyrunc.errors import UnsupportedError
from pyrunc.spec.model_resources import BlockIO, ThrottleDevice

# Whether the cgroup has a file.
Has = Callable[[str], bool]

MIN_WEIGHT, MAX_WEIGHT = 10, 1000
_V2_WEIGHTS = 9999  # io.weight goes from 1 to 10000
_MAX_BPS = (1 << 64) - 1
_MAX_IOPS = (1 << 32) - 1  # the kernel keeps these in 32 bits; all ones are "no limit"

# Member, v1 file, v2 key, the first rate that is no limit.
_THROTTLES = (
    ("throttleReadBpsDevice", "read_bps", "rbps", _MAX_BPS),
    ("throttleWriteBpsDevice", "write_bps", "wbps", _MAX_BPS),
    ("throttleReadIOPSDevice", "read_iops", "riops", _MAX_IOPS),
    ("throttleWriteIOPSDevice", "write_iops", "wiops", _MAX_IOPS),
)


def weight(blkio: int) -> int:
    """blockIO.weight (10 to 1000) to io.weight (1 to 10000).

    The line of the specification's authors, rounded down: it keeps the ends, and 100, the
    default of both, becomes 910.
    """
    return 1 + (blkio - MIN_WEIGHT) * _V2_WEIGHTS // (MAX_WEIGHT - MIN_WEIGHT)


def check(block: BlockIO, base: str, v2: bool) -> None:
    """Refuse what is not supported on a cgroup version.

    Raises:
        SpecError: leaf weights on v2, which has no tasks next to sub-cgroups.
    """
    if not v2:
        return
    asked = {"leafWeight": block.leafWeight}
    for index, device in enumerate(block.weightDevice):
        asked[f"weightDevice/{index}/leafWeight"] = device.leafWeight
    for name, value in asked.items():
        if value:
            raise UnsupportedError(
                "leaf weights are not supported on cgroup v2",
                pointer=f"{base}/blockIO/{name}",
                hint="leave it out",
            )


def asks(block: BlockIO) -> bool:
    """Whether anything is asked for: engines send empty objects, and weights of 0."""
    lists = (getattr(block, name) for name, _, _, _ in _THROTTLES)
    return bool(block.weight or block.leafWeight or block.weightDevice or any(lists))


def limits_v1(block: BlockIO, has: Has) -> list[Limit]:
    """The values for cgroup v1, in writing order.

    Args:
        block: resources.blockIO.
        has: whether the cgroup has a file. CFQ's weights are gone since Linux 5.0;
            BFQ's files are there instead.
    """
    prefix = "blkio" if has("blkio.weight") else "blkio.bfq"
    found = []
    if block.weight:
        found.append(Limit(f"{prefix}.weight", str(block.weight), "/blockIO/weight"))
    if block.leafWeight:
        found.append(Limit("blkio.leaf_weight", str(block.leafWeight), "/blockIO/leafWeight"))
    for index, device in enumerate(block.weightDevice):
        where = f"/blockIO/weightDevice/{index}"
        number = f"{device.major}:{device.minor}"
        rows = (
            (f"{prefix}.weight_device", device.weight, f"{where}/weight"),
            ("blkio.leaf_weight_device", device.leafWeight, f"{where}/leafWeight"),
        )
        for file, value, pointer in rows:
            if value:
                found.append(_keyed(file, f"{number} {value}", pointer, number))
    for member, file, _, most in _THROTTLES:
        for index, throttle in enumerate(getattr(block, member)):
            rate = throttle.rate if throttle.rate < most else 0
            found.append(
                _throttle(f"blkio.throttle.{file}_device", str(rate), member, index, throttle)
            )
    return found


def limits_v2(block: BlockIO, has: Has) -> list[Limit]:
    """The values for cgroup v2, in writing order.

    Args:
        block: resources.blockIO.
        has: whether the cgroup has a file. Where BFQ is the scheduler its own weights
            count, which have the range of v1; io.weight is of the iocost controller.
    """
    bfq = has("io.bfq.weight")
    file = "io.bfq.weight" if bfq else "io.weight"
    found = []
    if block.weight:
        value = str(block.weight if bfq else weight(block.weight))
        found.append(Limit(file, value, "/blockIO/weight", compare=FLAG))
    for index, device in enumerate(block.weightDevice):
        if device.weight:
            number = f"{device.major}:{device.minor}"
            value = f"{number} {device.weight if bfq else weight(device.weight)}"
            pointer = f"/blockIO/weightDevice/{index}/weight"
            found.append(_keyed(file, value, pointer, number))
    for member, _, key, most in _THROTTLES:
        for index, throttle in enumerate(getattr(block, member)):
            rate = str(throttle.rate) if 0 < throttle.rate < most else "max"
            found.append(_throttle("io.max", f"{key}={rate}", member, index, throttle))
    return found


def _throttle(file: str, value: str, member: str, index: int, device: ThrottleDevice) -> Limit:
    number = f"{device.major}:{device.minor}"
    return _keyed(file, f"{number} {value}", f"/blockIO/{member}/{index}", number)


def _keyed(file: str, value: str, pointer: str, number: str) -> Limit:
    hint = f"is {number} a whole block device of this host?"
    if "weight" in file:
        hint = f"is {number} a whole block device, and does its scheduler support weights?"
    return Limit(file, value, pointer, compare=KEYED, hint=hint)
