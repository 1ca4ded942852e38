# SPDX-License-Identifier: Apache-2.0
"""The command's own way to its modules: the code of all of them in one file.

`exec` loads some fifty modules. Python looks for each in the list of a directory, asks for the
times of source and compiled file, and reads the code with all that a traceback might show; that
is a third of what its imports cost (docs/design.md 45). tools/pack_modules.py writes the file
beside this one: first this module's code and the index, then the modules' code.
Whatever is not in it, or has changed since, Python finds as ever.

The library does not use this: its modules stay what `import` finds.
"""

from __future__ import annotations

import posix
import sys
from _frozen_importlib import ModuleSpec
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    # Offset and length of the code; the source below the package's parent; size and
    # modification time of a source that may still change, or zeros.
    Place = tuple[int, int, str, int, int]

# How much of the file holds the index.
HEADER = 65536
MARK = 16


class Modules:
    """Finds and loads the modules of one file (importlib's finder and loader protocols).

    Args:
        file: its path.
        top: the directory that holds the package.
        mark: what stands before each module's code: the MARK bytes of this build.
        index: name of a module -> its place.
    """

    def __init__(self, file: str, top: str, mark: bytes, index: dict[str, Place]) -> None:
        self.file = file
        self.top = top
        self.mark = mark
        self.index = index
        self.found: dict[str, CodeType] = {}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Returns what is known of a module, or None where Python has to look for it."""
        place = self.index.get(name)
        if place is None:
            return None
        offset, length, source, size, modified = place
        source = f"{self.top}/{source}"
        try:
            now = posix.stat(source) if modified else None
            if now and (now.st_size, now.st_mtime_ns) != (size, modified):
                return None
            data = self._read(offset, length)
        except OSError:
            return None
        if len(data) != length or not data.startswith(self.mark):
            return None
        # Who could write that file could write the modules beside it.
        try:
            self.found[name] = loads(data[MARK:])  # noqa: S302
        except (EOFError, ValueError, TypeError):
            return None
        spec = ModuleSpec(name, self, origin=source)  # type: ignore[arg-type]
        if source.endswith("/__init__.py"):
            spec.submodule_search_locations = [source[: -len("/__init__.py")]]
        return spec

    def _read(self, offset: int, length: int) -> bytes:
        """Opened each time: a descriptor that stays could be among those of --preserve-fds.

        So what is read may be another build's, installed meanwhile: the mark tells.
        """
        fd = posix.open(self.file, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            return posix.pread(fd, length, offset)
        finally:
            posix.close(fd)

    def create_module(self, spec: ModuleSpec) -> None:
        """Python's own way to make one will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code in it."""
        assert module.__spec__ is not None
        module.__file__ = module.__spec__.origin
        exec(self.found.pop(module.__name__), module.__dict__)  # noqa: S102


def install(file: str, mark: bytes, index: dict[str, Place]) -> None:
    """Find modules in `file`, before Python looks for them.

    Args:
        file: path of the packed modules, in the package's directory.
        mark: of this build.
        index: of all modules in it.
    """
    top = file.rpartition("/")[0].rpartition("/")[0]
    sys.meta_path.insert(0, Modules(file, top, mark, index))
