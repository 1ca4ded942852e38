# SPDX-License-Identifier: Apache-2.0
"""docs/contract.md, from the rows, the reasons and what was seen of crun.

`python -m tests.contract.table` writes the document; `... table crun DIRECTORY`, in the guest,
tries all rows and states with crun and writes where it differs from runc: crun.json and
crun_states.json.
"""

from __future__ import annotations

import difflib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.contract import matrix, reasons
from tests.contract.harness import observe
from tests.contract.rows import ROWS
from tests.lib import support

HERE = Path(__file__).resolve().parent

CRUN = HERE / "crun.json"
CRUN_STATES = HERE / "crun_states.json"
DOCUMENT = HERE.parent.parent / "docs" / "contract.md"
SHOWN = 110  # characters of a fact in the document
HEAD = """\
# The contract, row by row

Written by `tests/contract/table.py`; do not edit. Each row is a statement of runc's command line
that an engine relies on, tried with runc, pyrunc and crun by tests/contract as the callers do it
(go-runc, conmon, podman, buildah, CRI-O, BuildKit). What is compared are exit codes, both streams,
log records and side effects; ids, pids, times and paths apart. runc is 1.1 here (1.1.5 on a host
with hybrid cgroups, 1.1.15 with cgroup v2), crun is 1.21.

"equal": the same facts as runc's. Otherwise the reason, in tests/contract/reasons.py with the words
concerned: a reason that no longer applies fails the tests. For crun the first difference is shown
(`runc's` → `crun's`); all are in tests/contract/crun.json.

"""

STATES_HEAD = """
## Each command in each state

`tests/contract/matrix.py` has what each command says in each state (none, half-made: a directory
that a killed `create` has left, created, running, paused, stopped). pyrunc and runc say it in all
{} cells; crun does in {}, and in the others:

"""


def lacks_crun() -> str:
    if not support.GUEST:
        return "crun is in the guest"
    return "" if shutil.which("crun") else "needs crun"


def difference(runc: list[str], crun: list[str]) -> list[str]:
    """What only one of them has: - is runc's, + is crun's."""
    lines = difflib.unified_diff(runc, crun, lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def try_crun(target: Path) -> None:
    template = support.default_config()
    found = {}
    for name, row in ROWS.items():
        with tempfile.TemporaryDirectory(prefix="contract-") as directory:
            sides = [observe(row, p, Path(directory) / p, template) for p in ("runc", "crun")]
        found[name] = difference(*sides)
    _write(target, found)


def _write(target: Path, found: object) -> None:
    target.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def crun_in(bundle: support.Bundle, command: str, state: str, directory: Path) -> str:
    """What crun does otherwise in a cell of the state machine, or ""."""
    crun = support.Runtime("crun", directory / "crun-state")
    name = ""
    try:
        name = matrix.put(crun, bundle.args("/bin/sleep", "100"), state)
        code, text = matrix.told(crun, command, name, bundle, directory)
        found = matrix.verdict("crun", command, state, name, code, text)
    finally:
        crun.clean()
        if name:
            support.remove_cgroups(name)
    return found.replace(name, "ID").replace(str(directory), "DIR")


def try_crun_states(target: Path) -> None:
    found = {}
    for command, state in matrix.cells():
        with tempfile.TemporaryDirectory(prefix="contract-") as directory:
            bundle = support.Bundle(Path(directory) / "bundle", support.default_config())
            found[f"{command} | {state}"] = crun_in(bundle, command, state, Path(directory))
    _write(target, found)


def cell(text: str) -> str:
    short = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    return short.replace("|", "\\|").replace("\\n", " ")


def of_crun(lines: list[str]) -> str:
    if not lines:
        return "equal"
    ours = next((line[1:] for line in lines if line[0] == "-"), "nothing")
    theirs = next((line[1:] for line in lines if line[0] == "+"), "nothing")
    return f"{len(lines)} lines: `{cell(ours)}` → `{cell(theirs)}`"


def document() -> str:
    crun = json.loads(CRUN.read_text())
    lines = ["| row | section | statement | pyrunc | crun |", "|---|---|---|---|---|"]
    equal = same = 0
    for name, row in ROWS.items():
        why = list(dict.fromkeys(r.words for r in reasons.REASONS if r.is_for_any_host(name)))
        equal += not why
        same += not crun[name]
        mine = cell_of(why)
        lines.append(
            f"| {name} | {row.section} | {cell(row.words)} | {mine} | {of_crun(crun[name])} |"
        )
    counts = f"{len(ROWS)} rows: pyrunc equal in {equal}, with a reason in {len(ROWS) - equal}; "
    counts += f"crun equal in {same}, different in {len(ROWS) - same}.\n\n"
    return HEAD + counts + "\n".join(lines) + "\n" + _states()


def _states() -> str:
    """The cells of the state machine in which crun differs, by command."""
    known = json.loads(CRUN_STATES.read_text())
    lines = ["| command | crun |", "|---|---|"]
    same = 0
    for command in matrix.TABLE:
        words: dict[str, list[str]] = {}
        for state in matrix.STATES:
            told = known[f"{command} | {state}"]
            same += not told
            words.setdefault(told, []).append(state)
        differs = [f"{', '.join(states)}: `{cell(told)}`" for told, states in words.items() if told]
        lines.append(f"| {command} | {'<br>'.join(differs) or 'equal'} |")
    return STATES_HEAD.format(len(known), same) + "\n".join(lines) + "\n"


def cell_of(why: list[str]) -> str:
    return "; ".join(words.replace("|", "\\|") for words in why) or "equal"


if __name__ == "__main__":
    if sys.argv[1:2] == ["crun"]:
        try_crun(Path(sys.argv[2]) / CRUN.name)
        try_crun_states(Path(sys.argv[2]) / CRUN_STATES.name)
    else:
        DOCUMENT.write_text(document())
