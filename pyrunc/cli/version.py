# SPDX-License-Identifier: Apache-2.0
"""pyrunc --version"""

from __future__ import annotations

import os
import sys

from pyrunc.version import VERSION

SPEC_VERSION = "1.3.0"
# What the static executable contains besides Python (docs/static.md).
EMBEDDED: dict[str, str] = {}


def version_text() -> str:
    """In runc's format: containerd, docker and podman parse these lines."""
    name = "runc" if os.path.basename(sys.argv[0]) == "runc" else "pyrunc"
    lines = [f"{name} version {VERSION}", f"commit: v{VERSION}"]
    lines.append(f"spec: {SPEC_VERSION}")
    lines += [f"{name}: {version}" for name, version in inside().items()]
    return "\n".join(lines) + "\n"


def inside() -> dict[str, str]:
    """Its components, by name and version."""
    return {"python": ".".join(str(part) for part in sys.version_info[:3]), **EMBEDDED}
