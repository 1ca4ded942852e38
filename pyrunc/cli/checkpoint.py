# SPDX-License-Identifier: Apache-2.0
"""pyrunc checkpoint"""

from __future__ import annotations

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import UsageError
from pyrunc.keywords import CriuKeywords


def run(line: Line, log: Log) -> int:
    """Store a container as an image."""
    options = line.options
    container = Container.load(line.arguments[0], root=root(line))
    container.checkpoint(
        options.get("image-path") or "checkpoint",
        criu=shared(line),
        leave_running=line.flag("leave-running"),
        pre_dump=line.flag("pre-dump"),
        parent_path=options.get("parent-path", ""),
        tcp_skip_in_flight=line.flag("tcp-skip-in-flight"),
        link_remap=line.flag("link-remap"),
        page_server=_page_server(options.get("page-server", "")),
        status_fd=int(options.get("status-fd", "-1")),
        warn=log.warning,
    )
    return 0


def shared(line: Line) -> CriuKeywords:
    """The options that checkpoint and restore have in common."""
    return {
        "work_path": line.options.get("work-path", ""),
        "tcp_established": line.flag("tcp-established"),
        "ext_unix_sk": line.flag("ext-unix-sk"),
        "shell_job": line.flag("shell-job"),
        "file_locks": line.flag("file-locks"),
        "manage_cgroups_mode": line.options.get("manage-cgroups-mode", ""),
        "empty_ns": tuple(line.lists.get("empty-ns", ())),
        "auto_dedup": line.flag("auto-dedup"),
        "lazy_pages": line.flag("lazy-pages"),
    }


def _page_server(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    address, _, port = text.rpartition(":")
    if not address or not port.isdigit():
        raise UsageError("Use --page-server ADDRESS:PORT to specify page server")
    return address, int(port)
