# SPDX-License-Identifier: Apache-2.0
"""From bytes to a checked `Spec`: strict JSON, typed decoding, then the semantic checks.

This module must not open files, and must not touch the kernel: callers have read the
document, and apply the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pyrunc import jsontext
from pyrunc.errors import SpecError
from pyrunc.spec.check import check
from pyrunc.spec.check_process import check_process
from pyrunc.spec.check_resources import check_resources
from pyrunc.spec.fields import ODD, Model, decode_object
from pyrunc.spec.model import Process, Spec
from pyrunc.spec.model_resources import Resources
from pyrunc.spec.names import SECCOMP_RECEIVER
from pyrunc.spec.spelling import tidy
from pyrunc.spec.wrong import Wrong

T = TypeVar("T", bound=Model)
R = TypeVar("R")


def parse(data: bytes, document: str = "config.json") -> Spec:
    """Parse and check one config.json.

    Args:
        data: its bytes.
        document: its name, for messages.

    Returns:
        The decoded document, with `raw` and `warnings` set.

    Raises:
        SpecError: it is not strict JSON, a member has the wrong type or range, or a rule of
            the specification is broken. The error names the JSON pointer.
    """
    warnings: list[str] = []
    return from_json(jsontext.loads(data, document, warnings), document, warnings)


def from_json(
    raw: object, document: str = "config.json", warnings: list[str] | None = None
) -> Spec:
    """As `parse`, of what jsontext.loads returned, with its warnings.

    Raises:
        SpecError: as `parse`.
    """
    spec = decode(raw, document, warnings)
    with_document(document, check, spec)
    return spec


def decode(raw: object, document: str = "config.json", warnings: list[str] | None = None) -> Spec:
    """Decode a JSON value by type alone, without the semantic checks.

    Args:
        raw: what jsontext.loads returned, or a dict built by a library caller.
        document: its name, for messages.
        warnings: about its JSON; they become the Spec's.

    Returns:
        The Spec.

    Raises:
        SpecError: a member has the wrong type or range, or a required one is missing.
    """
    if raw is None:
        # runc's text.
        raise SpecError("config cannot be null", document=document)
    warnings = [] if warnings is None else warnings
    spec, known = _typed(Spec, raw, document, warnings)
    spec.raw = known
    spec.source = b""
    spec.warnings = warnings
    linux = spec.linux
    if linux and linux.seccomp and not (linux.seccomp.defaultAction or linux.seccomp.syscalls):
        # No action and no rules: runc takes this for no seccomp.
        linux.seccomp = None
    if linux and linux.seccomp and not linux.seccomp.listenerPath:
        # crun's word for the same, older than listenerPath.
        linux.seccomp.listenerPath = spec.annotations.get(SECCOMP_RECEIVER)
    return spec


def decode_process(
    raw: object, document: str = "process.json", warnings: list[str] | None = None
) -> Process:
    """Decode and check a process object: what `exec --process` reads.

    Args:
        raw: the JSON value.
        document: its name, for messages.
        warnings: collects what is odd but not wrong.

    Returns:
        The Process.

    Raises:
        SpecError: as for parse; pointers start at the process.
    """
    warnings = [] if warnings is None else warnings
    process, _ = _typed(Process, raw, document, warnings)
    with_document(document, check_process, process, "", warnings)
    return process


def decode_resources(
    raw: object, document: str = "resources.json", warnings: list[str] | None = None
) -> Resources:
    """Decode and check a resources object: what `update --resources` reads.

    Args:
        raw: the JSON value.
        document: its name, for messages.
        warnings: collects what is odd but not wrong.

    Returns:
        The Resources.

    Raises:
        SpecError: as for parse; pointers start at the resources.
    """
    warnings = [] if warnings is None else warnings
    resources, _ = _typed(Resources, raw, document, warnings)
    with_document(document, check_resources, resources, "", warnings)
    return resources


def with_document(document: str, checker: Callable[..., R], *arguments: object) -> R:
    """Run a checker; its errors name that document (checkers do not know which they read)."""
    try:
        return checker(*arguments)
    except SpecError as error:
        error.document = document
        raise


def _typed(
    cls: type[T], raw: object, document: str, warnings: list[str]
) -> tuple[T, dict[str, Any]]:
    """The decoded object, and the JSON object with the names that it was decoded by."""
    odd = ODD[0]
    try:
        found = decode_object(cls, raw)
    except Wrong as wrong:
        raise wrong.error(document) from None
    assert isinstance(raw, dict)  # decode_object has seen to it
    if ODD[0] == odd:
        return found, raw
    return found, tidy(cls, raw, warnings)
