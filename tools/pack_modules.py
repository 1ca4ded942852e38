# SPDX-License-Identifier: Apache-2.0
"""Puts the code of a package's modules into one file, for pyrunc/boot.py to load.

    python -X no_debug_ranges tools/pack_modules.py [--fixed] PACKAGE OUTPUT

Without asserts, docstrings and columns of tracebacks, none of which the command shows. In a source
tree a module that is changed afterwards is noticed by its time; --fixed is for an installed
package, where nobody changes one.
"""

from __future__ import annotations

import argparse
import hashlib
import marshal
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pyrunc.boot import HEADER, MARK


def pack(package: Path, output: Path, *, fixed: bool) -> None:
    """Write `output` anew, at once: a command may be reading the one before.

    Args:
        package: a directory of modules; its name is the package's.
        output: the file.
        fixed: the sources do not change any more.
    """
    sources = sorted(package.rglob("*.py"))
    texts = [source.read_bytes() for source in sources]
    mark = hashlib.sha256(b"\0".join(texts)).digest()[:MARK]
    index = {}
    body = bytearray()
    for source, text in zip(sources, texts, strict=True):
        below = source.relative_to(package.parent)
        name = ".".join(below.with_suffix("").parts).removesuffix(".__init__")
        data = mark + marshal.dumps(_compiled(text, below))
        then = source.stat()
        size, modified = (0, 0) if fixed else (then.st_size, then.st_mtime_ns)
        index[name] = (HEADER + len(body), len(data), str(below), size, modified)
        body += data
    boot = _compiled((package / "boot.py").read_bytes(), Path(package.name, "boot.py"))
    header = marshal.dumps((boot, mark, index))
    if len(header) > HEADER:
        raise SystemExit(f"pack_modules: the index takes {len(header)} bytes, HEADER is {HEADER}")
    temporary = output.with_name(f"{output.name}.{os.getpid()}")
    temporary.write_bytes(header.ljust(HEADER, b"\0") + body)
    temporary.replace(output)


def _compiled(text: bytes, below: Path) -> object:
    return compile(text, str(below), "exec", dont_inherit=True, optimize=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--fixed", action="store_true")
    options = parser.parse_args()
    pack(options.package.resolve(), options.output, fixed=options.fixed)


if __name__ == "__main__":
    main()
