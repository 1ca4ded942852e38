# SPDX-License-Identifier: Apache-2.0
"""CPython as tools/static/libraries.sh changes it: in an image it writes no counters and
specialises no bytecode, and means the same, whether the seed has run the code or not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.static import semantics

TREE = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys, types
sys.path.append("{tree}/tools/static")
import _image, renew
with open("{tree}/tests/static/semantics.py") as file:
    code = compile(file.read(), "semantics.py", "exec", optimize=0)
semantics = sys.modules["semantics"] = types.ModuleType("semantics")
exec(code, semantics.__dict__)
del code, file

def main():
    path, before = sys.argv
    sys.argv[:] = sys.orig_argv[:] = []
    if before == "ran":
        for name in ("kinds", "names", "generators", "errors", "signals", "tracing"):
            semantics.CASES[name]()
    renew.drop_streams()
    renew.forget()
    sys.path[:] = []
    sys.path_importer_cache.clear()
    _image.immortalise()
    _image.keep(path, renew.renew, semantics.entry)
"""


@pytest.fixture(scope="module", params=["new", "ran"])
def image(request, tmp_path_factory) -> Path:
    work = TREE / "build" / "static"
    if not (work / "seed").exists():
        pytest.skip("needs build/static, which the build leaves")
    place = tmp_path_factory.mktemp("interpreter")
    (place / "program.py").write_text(PROGRAM.replace("{tree}", str(TREE)))
    library = (work / "library").read_text()
    done = subprocess.run(
        [work / "seed", library, place / "program.py", place / "image", request.param],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "image"


@pytest.mark.parametrize("case", semantics.CASES)
def test_python_means_the_same(image, case):
    done = subprocess.run([image, case], capture_output=True, text=True, check=False, timeout=120)
    if case == "a_test":
        assert done.returncode == 1
        assert done.stderr.endswith("AssertionError\n")
    else:
        assert (done.returncode, done.stderr) == (0, "")
