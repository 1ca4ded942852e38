# SPDX-License-Identifier: Apache-2.0
"""Filesystems with an option or a source that is too long for fsconfig(2); pure.

It takes values of 255 bytes, which five layers of an overlay exceed. Layers go one by one where
the kernel knows `lowerdir+` (6.8); all else by mount(2), whose options are a page together.
"""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.kernel import constants as k
from pyrunc.plan import steps
from pyrunc.plan.steps import Step

LONGEST = 255
_PAGE = 4095
_LAYERS = "lowerdir="
# What mount(2) has flags for: a filesystem of the old kind knows no such words.
_FLAGS = {
    "ro": k.MS_RDONLY,
    "sync": k.MS_SYNCHRONOUS,
    "dirsync": k.MS_DIRSYNC,
    "lazytime": k.MS_LAZYTIME,
    "mand": k.MS_MANDLOCK,
}
_DEFAULTS = ("async", "nolazytime", "nomand", "rw")


def are_long(source: str, options: tuple[str, ...]) -> bool:
    """Whether fsconfig(2) refuses any of it."""
    if len(source) > LONGEST // 4 and _size(source) > LONGEST:
        return True
    return any(
        len(word) > LONGEST // 4 and _size(word.partition("=")[2]) > LONGEST for word in options
    )


def compile_long(make: steps.MakeFilesystem, target: str) -> Step:
    """The step in the place of MakeFilesystem.

    Args:
        make: what cannot be carried out as it is.
        target: where it is to be mounted.

    Raises:
        SpecError: not even mount(2) takes it.
    """
    flags = sum(_FLAGS[word] for word in dict.fromkeys(make.options) if word in _FLAGS)
    words = [_quoted(w) for w in make.options if w not in _FLAGS and w not in _DEFAULTS]
    data = ",".join(words)
    single = _one_by_one(make)
    if _size(data) > _PAGE or _size(make.source or "") > _PAGE:
        if not single:
            raise SpecError(
                f"the options of one mount can be {_PAGE} bytes long together, these are"
                f" {_size(data)}",
                pointer=make.pointer + "/options",
            )
        data = ""
    return steps.LongFilesystem(
        result=make.result,
        fstype=make.fstype,
        source=make.source or make.fstype,
        options=single,
        data=data or None,
        flags=flags,
        attributes=make.attributes,
        target=target,
        pointer=make.pointer,
    )


def _one_by_one(make: steps.MakeFilesystem) -> tuple[str, ...]:
    """The options with one `lowerdir+` a layer; none where that would not do."""
    if make.fstype != "overlay":
        return ()
    made: list[str] = []
    for word in make.options:
        if not word.startswith(_LAYERS):
            made.append(word)
            continue
        layers = word[len(_LAYERS) :]
        # Escaped colons, and layers of data alone ("::"), are read in another way there.
        if "\\" in layers or "::" in layers:
            return ()
        made += [f"lowerdir+={layer}" for layer in layers.split(":")]
    return () if are_long(make.source or "", tuple(made)) else tuple(made)


def _quoted(word: str) -> str:
    """A label's categories have commas, which mount(2) reads past only in quotes."""
    key, _, value = word.partition("=")
    is_label = key.endswith("context") and "," in value and '"' not in value
    return f'{key}="{value}"' if is_label else word


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
