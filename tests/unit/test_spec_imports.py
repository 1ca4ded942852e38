# SPDX-License-Identifier: Apache-2.0
"""What reading a config.json must not import: it has to work where there is no jsonschema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyrunc
from pyrunc import jsontext
from pyrunc.spec import template

ROOT = Path(pyrunc.__file__).parent.parent
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import pyrunc.spec.load
pyrunc.spec.load.parse(open(sys.argv[2], "rb").read())
print(*sorted(sys.modules))
"""


def test_parsing_a_document_needs_no_package(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(jsontext.dumps(template.default_spec(False, 0, 0, True)))
    command = [sys.executable, "-I", "-S", "-c", SCRIPT, str(ROOT), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = set(done.stdout.split())
    assert "pyrunc.spec.check_resources" in found
    assert "pyrunc.spec.deep" not in found
    assert "jsonschema" not in found
