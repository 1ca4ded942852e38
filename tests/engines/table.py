# SPDX-License-Identifier: Apache-2.0
"""Writes the table of docs/engines.md from what the courses have left.

python -m tests.engines.table build/guest/out/up/engines.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "engines.md"
BEGIN = "<!-- written by tests/engines/table.py -->\n"
END = "<!-- to here -->\n"


def table(rows: list[dict[str, Any]]) -> str:
    """A row a step: what it shows, and whether pyrunc does as the engine's usual runtime."""
    lines = ["| engine | chapter | step | exit code | as with the usual runtime |\n",
             "|---|---|---|---|---|\n"]  # fmt: skip
    for row in rows:
        for step in row["steps"]:
            usual, ours = step["usual"], step["ours"]
            alike = (usual["out"], usual["code"]) == (ours["out"], ours["code"])
            said = "equal" if alike else f"differs: {step['differs'] or step['wrong']}"
            said = f"**{step['wrong'][:80]}**" if step["wrong"] else said
            words = (f"{row['engine']} ({row['usual']})", row["chapter"], step["name"],
                     str(ours["code"]), said.replace("|", "\\|").replace("\n", " "))  # fmt: skip
            lines.append(f"| {' | '.join(words)} |\n")
    return "".join(lines)


def main() -> None:
    """Put the table in its place."""
    text = Path(sys.argv[1]).read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table(rows) + END + after)


if __name__ == "__main__":
    main()
