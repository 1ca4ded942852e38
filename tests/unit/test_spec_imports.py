# SPDX-License-Identifier: Apache-2.0
"""What reading a config.json imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyrunc

ROOT = Path(pyrunc.__file__).parent.parent
FORBIDDEN = [
    "re",
    "enum",
    "json",
    "dataclasses",
    "typing",
    "pathlib",
    "collections",
    "functools",
    "jsonschema",
    "argparse",
    "socket",
    "subprocess",
    "logging",
    "selectors",
    "contextlib",
    "importlib.util",
    "inspect",
]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import pyrunc.spec.load
if sys.argv[2] == "parse":
    pyrunc.spec.load.parse(open(sys.argv[3], "rb").read())
print(*sorted(sys.modules))
"""


def modules(*arguments: str) -> set[str]:
    command = [sys.executable, "-I", "-S", "-c", SCRIPT, str(ROOT), *arguments]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(found.stdout.split())


def test_importing_the_loader_imports_nothing_heavy_and_no_check() -> None:
    found = modules("import", "")
    assert "pyrunc.spec.model" in found
    assert found.isdisjoint(FORBIDDEN)
    assert not [name for name in found if name.startswith("pyrunc.spec.check")]


def test_parsing_a_document_imports_nothing_heavy(tmp_path: Path) -> None:
    from pyrunc import jsontext
    from pyrunc.spec import template

    path = tmp_path / "config.json"
    path.write_text(jsontext.dumps(template.default_spec(False, 0, 0, True)))
    found = modules("parse", str(path))
    assert "pyrunc.spec.check_resources" in found
    assert "pyrunc.spec.check_seccomp" not in found, "the document has no seccomp"
    assert "pyrunc.spec.deep" not in found
    assert found.isdisjoint(FORBIDDEN)
