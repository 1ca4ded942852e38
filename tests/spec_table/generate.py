# SPDX-License-Identifier: Apache-2.0
"""docs/spec-coverage.md from the tables beside this file.

python -m tests.spec_table.generate > docs/spec-coverage.md
"""

from __future__ import annotations

import sys

from tests.spec_table import (
    chapter_escapes,
    chapter_linux,
    chapter_mounts,
    chapter_process,
    chapter_resources,
    chapter_runtime,
)
from tests.spec_table.disagreements import DIFFERENCES
from tests.spec_table.row import TESTS, Chapter, Row, is_path, known

CHAPTERS: tuple[Chapter, ...] = (
    *chapter_mounts.CHAPTERS,
    *chapter_process.CHAPTERS,
    *chapter_linux.CHAPTERS,
    *chapter_resources.CHAPTERS,
    *chapter_runtime.CHAPTERS,
    *chapter_escapes.CHAPTERS,
)
DOCUMENT = TESTS.parent / "docs" / "spec-coverage.md"
HEAD = """\
<!-- Generated: python -m tests.spec_table.generate > docs/spec-coverage.md -->
# What of the specification pyrunc does, and which test proves it

Version 1.3.0, Linux. Every property of `config.json`, every mount option and every requirement of
`runtime.md` and `bundle.md` has a row here, and every row a test that fails when the code behind it
is broken, or the reason why it has none. `tests/unit/test_spec_coverage.py` holds the table
against the model, against the tests and against this file.

"tests" are node ids of pytest below `tests/`. `peers` says where runc (1.5) and crun (1.29) do
otherwise; nothing there means that they do the same. What differs inside the same bundles, line by
line and with reasons, is in `differential/known.py` (runc 1.1) and `differential/known_crun.py`
(crun 1.21, with who follows the specification).
"""


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def line(row: Row, ids: dict[str, str]) -> str:
    name = f"`{row.name}`" if is_path(row.name) else row.name
    tests = "<br>".join(f"`{ids[short].removeprefix('tests/')}`" for short in row.tests.split())
    cells = [name, row.does, tests or f"none: {row.reason}", row.peers]
    return "| " + " | ".join(map(cell, cells)) + " |"


def differences() -> str:
    """The table of where the loader and the schemas judge differently."""
    made = [
        "\n## The loader and the JSON schemas\n",
        "Some 2000 documents, each changed in one place, are judged by all three"
        " (`unit/test_spec_corpus.py`). They agree but for these, which that test holds both\n"
        "ways: what differs has a row, each row shows. Places and messages are patterns.\n\n",
        "| judge | who refuses | place | message | reason |\n|---|---|---|---|---|\n",
    ]
    for row in DIFFERENCES:
        cells = [", ".join(row.judges), row.refuses, f"`{row.pointer}`" if row.pointer else "any",
                 f"`{row.message}`", row.reason]  # fmt: skip
        made.append("| " + " | ".join(map(cell, cells)) + " |\n")
    return "".join(made)


def document() -> str:
    """The whole text."""
    ids = known()
    made = [HEAD]
    for chapter in CHAPTERS:
        made.append(f"\n## {chapter.title}\n{chapter.text}\n")
        made.append("| what | pyrunc | tests | peers |\n|---|---|---|---|\n")
        made += [line(row, ids) + "\n" for row in chapter.rows]
    return "".join([*made, differences()])


if __name__ == "__main__":
    sys.stdout.write(document())
