# SPDX-License-Identifier: Apache-2.0
"""All that `create` would have against a bundle's config.json, and what is odd in it."""

from __future__ import annotations

import os
from functools import partial

from pyrunc.cgroups import devices
from pyrunc.host.facts import HostFacts
from pyrunc.lifecycle import bundle as bundles
from pyrunc.lifecycle import seccomp
from pyrunc.plan.compile import compile_plan
from pyrunc.plan.context import Options
from pyrunc.spec import validate as documents
from pyrunc.spec.model import Spec
from pyrunc.spec.validate import Finding

# No host in particular: what only some of them refuse is not the document's fault.
_HOST = HostFacts(privileged=True, cgroup_kind="v2")


def validate(
    bundle: str | os.PathLike[str] = ".", *, config: str | os.PathLike[str] = ""
) -> list[Finding]:
    """Find every fault of a bundle's configuration, and what is odd in it. Changes nothing.

    Args:
        bundle: the bundle's directory.
        config: file to read instead of the bundle's config.json, or "".

    Returns:
        The faults, then what is odd; none of either for a good document.

    Raises:
        PyruncError: there is no config.json, or it cannot be read.
    """
    place = os.path.abspath(bundle)
    file = os.path.abspath(config) if config else ""
    checks = (_devices, _seccomp, partial(_plan, place), partial(bundles.root_directory, place))
    return documents.validate(
        bundles.read_config(place, file), str(config) or bundles.CONFIG, checks
    )


def _devices(spec: Spec) -> None:
    if spec.linux and spec.linux.resources:
        own = [device.path for device in spec.linux.devices]
        devices.policy(spec.linux.resources.devices, own)


def _seccomp(spec: Spec) -> None:
    if spec.linux and spec.linux.seccomp:
        seccomp.misspelt(spec, spec.linux.seccomp)


def _plan(bundle: str, spec: Spec) -> None:
    options = Options(container_id="container", bundle=bundle, rootfs=f"{bundle}/rootfs")
    compile_plan(spec, _HOST, options)
