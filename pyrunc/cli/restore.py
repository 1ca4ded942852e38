# SPDX-License-Identifier: Apache-2.0
"""pyrunc restore"""

from __future__ import annotations

import os

from pyrunc.cli.checkpoint import shared
from pyrunc.cli.create import arguments
from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.container import Container
from pyrunc.kernel.calls import set_subreaper


def run(line: Line, log: Log) -> int:
    """Make a container from an image; without --detach wait for it, and delete it."""
    # The caller's directory, not the bundle's, to which `arguments` changes.
    image = os.path.abspath(line.options.get("image-path") or "checkpoint")
    work = line.options.get("work-path", "")
    criu = shared(line) | {"work_path": os.path.abspath(work) if work else ""}
    given = arguments(line, log) | {
        "criu": criu,
        "tcp_close": line.flag("tcp-close"),
        "lsm_profile": line.options.get("lsm-profile", ""),
        "lsm_mount_context": line.options.get("lsm-mount-context", ""),
    }
    bundle, container_id = given.pop("bundle"), given.pop("container_id")
    if not line.flag("no-subreaper"):
        set_subreaper(True)
    if line.flag("detach"):
        given["warn"] = lambda _: None  # 1 and 2 are the container's
        Container.restore(bundle, container_id, image, **given)
        return 0
    ended = Container.run_restored(bundle, container_id, image, **given)
    assert ended.code is not None  # it was our child
    return ended.code
