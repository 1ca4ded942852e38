# SPDX-License-Identifier: Apache-2.0
"""What a valid document may ask for and this version of pyrunc does not do yet.

One table, so that it can be read, printed and emptied row by row. Refusing is the rule: to
ignore a property that restricts a container would be a hole.
"""

from __future__ import annotations

from pyrunc.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.spec.model import Spec

SENTENCE = "not supported by this version of pyrunc yet"


def _linux(name: str) -> Callable[[Spec], object]:
    return lambda spec: spec.linux and getattr(spec.linux, name)


def _listener(spec: Spec) -> object:
    return spec.linux and spec.linux.seccomp and spec.linux.seccomp.listenerPath


# JSON pointer, what it is called, and how to see whether the document asks for it.
TABLE: tuple[tuple[str, str, Callable[[Spec], object]], ...] = (
    ("/linux/seccomp/listenerPath", "a seccomp listener", _listener),
)


def refuse_unsupported(spec: Spec) -> None:
    """Refuse a document that asks for something this version does not do.

    Args:
        spec: a checked document.

    Raises:
        UnsupportedError: with the pointer of the first such property.
    """
    for pointer, what, asked in TABLE:
        if asked(spec):
            raise _refusal(what, pointer)
    seccomp = spec.linux.seccomp if spec.linux else None
    for index, syscall in enumerate(seccomp.syscalls if seccomp else ()):
        if syscall.action == "SCMP_ACT_NOTIFY":
            raise _refusal("SCMP_ACT_NOTIFY", f"/linux/seccomp/syscalls/{index}/action")


def _refusal(what: str, pointer: str) -> UnsupportedError:
    return UnsupportedError(f"{what} is {SENTENCE}", pointer=pointer)
