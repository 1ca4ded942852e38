# SPDX-License-Identifier: Apache-2.0
"""What `import pyrunc` brings into a program; how long it takes is a row of `make bench`."""

from __future__ import annotations

import subprocess
import sys

PRINT = """
import sys
before = set(sys.modules)
import pyrunc
print(*sorted(set(sys.modules) - before))
"""
# Of other packages: the cffi runtime, and systemd's messages.
OTHERS = {"_cffi_backend", "jeepney"}
# Each costs as much as all of pyrunc, starts threads or is somebody else's event loop.
NEVER = {
    "asyncio", "concurrent", "ctypes", "doctest", "email", "ftplib", "html", "http", "logging",
    "multiprocessing", "pdb", "pydoc", "shutil", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "tkinter", "unittest", "urllib", "xml", "zipfile",
}  # fmt: skip
# Not counting what the interpreter itself has imported by then; 3.11 needs 48.
MOST_OF_THE_STANDARD_LIBRARY = 60
# A new operation of the library may raise this.
MOST_OF_OURS = 180


def test_what_an_import_brings() -> None:
    # Isolated: neither the caller's directory nor the environment adds anything.
    done = subprocess.run(
        [sys.executable, "-I", "-c", PRINT], capture_output=True, text=True, check=True
    )
    modules = done.stdout.split()
    tops = {name.partition(".")[0] for name in modules}
    assert tops - sys.stdlib_module_names - {"pyrunc"} <= OTHERS
    assert sorted(tops & NEVER) == []
    ours = [name for name in modules if name.partition(".")[0] == "pyrunc"]
    standard = [name for name in modules if name.partition(".")[0] in sys.stdlib_module_names]
    assert len(ours) <= MOST_OF_OURS
    assert len(standard) <= MOST_OF_THE_STANDARD_LIBRARY, standard
