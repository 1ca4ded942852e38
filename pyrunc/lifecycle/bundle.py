# SPDX-License-Identifier: Apache-2.0
"""Reads a bundle: its configuration, and where its root filesystem is. Changes nothing."""

from __future__ import annotations

import os
import stat
from typing import Any

from pyrunc import jsontext
from pyrunc.errors import KernelError, PyruncError, SpecError, reported
from pyrunc.kernel.descriptor import opened
from pyrunc.limits import Limits
from pyrunc.spec import load
from pyrunc.spec.model import Spec

CONFIG = "config.json"


def read_spec(bundle: str, limits: Limits | None = None, config: str = "") -> Spec:
    """Read and check a bundle's config.json.

    Args:
        bundle: absolute path of the bundle.
        limits: put into it before it is checked.
        config: absolute path of the file to read instead, or "".

    Raises:
        SpecError: it is missing or wrong.
    """
    name = config or CONFIG
    data = read_config(bundle, config)
    warnings: list[str] = []
    raw = jsontext.loads(data, name, warnings)
    if limits is not None and isinstance(raw, dict):
        limits.add_to(raw)
    spec = load.from_json(raw, name, warnings)
    spec.source = data
    return spec


def read_config(bundle: str, config: str = "") -> bytes:
    """The bytes of a bundle's config.json, or of the file to read instead.

    Raises:
        PyruncError: it is missing, or not a regular file.
        KernelError: it cannot be read.
    """
    name = config or CONFIG
    path = config or f"{bundle}/{CONFIG}"
    try:
        file = opened(path, os.O_NONBLOCK)
    except FileNotFoundError:
        hint = (
            "" if config else f"in {bundle}; `pyrunc spec` makes one, --bundle names another place"
        )
        raise PyruncError(f"JSON specification file {name} not found", hint=hint) from None
    except OSError as error:
        raise KernelError("open", "open", error.errno or 0, path) from None
    with file, reported("read", "read", path):
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise PyruncError(f"{name} is not a regular file")
        data = b""
        # One byte past the limit is enough for the parser to refuse it.
        while len(data) <= jsontext.MAX_BYTES and (chunk := os.read(file.fileno(), 1 << 20)):
            data += chunk
    return data


def root_directory(bundle: str, spec: Spec) -> str:
    assert spec.root is not None
    path = spec.root.path if spec.root.path.startswith("/") else f"{bundle}/{spec.root.path}"
    path = os.path.normpath(path)
    with reported("use", "stat", path, pointer="/root/path"):
        mode = os.stat(path).st_mode
    if not stat.S_ISDIR(mode):
        raise SpecError(f'"{path}" is not a directory', pointer="/root/path")
    return written(os.path.realpath(path), "the root filesystem")


def written(path: str, what: str) -> str:
    """A path that goes into the state, which is JSON and so UTF-8 (RFC 8259).

    Raises:
        PyruncError: it is not UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise PyruncError(
            f"the path of {what} is not UTF-8, so no state document can contain it: {path}",
            hint="rename the directory, or reach it by another name (a bind mount)",
        ) from None
    return path


def kept_resources(spec: Spec) -> dict[str, Any]:
    """Of linux.resources what `update` can change, as JSON values: all but the device rules."""
    resources = (spec.raw.get("linux") or {}).get("resources") or {}
    return {name: value for name, value in resources.items() if name != "devices" and value}
