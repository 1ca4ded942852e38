# SPDX-License-Identifier: Apache-2.0
"""docs/conformance.md: suite/document.py RUNTIME... > ../docs/conformance.md (as root)."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import outcomes
import pool
from unheld import UNHELD

HERE = Path(__file__).resolve().parent
HEAD = """\
<!-- Generated: oci-conformance/suite/document.py pyrunc runc > docs/conformance.md -->
# Conformance

What the runtime specification (1.3.0, Linux) asks for, which case of `oci-conformance/` holds it,
and what came of it. `oci-conformance/run --runtime PATH` repeats it for any runtime, as root;
`make test-conformance` also shows that broken runtimes are caught. An outcome is *kept*,
**broken**, *lenient* (taken with a warning, or by a decision that is named), or - (the host lacks
what it needs). Explanations come from `oci-conformance/explained.toml`.
"""


def examine(programs: list[str]) -> list[outcomes.Examined]:
    directory = Path(tempfile.mkdtemp(prefix="oci-conformance-"))
    directory.chmod(0o711)
    try:
        probe = pool.build_probe(HERE / "probe.c", directory)
        jobs = os.cpu_count() or 1
        found = [os.path.abspath(str(shutil.which(program))) for program in programs]
        runtimes = [pool.examine(program, "", probe, directory, jobs) for program in found]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    outcomes.explain(runtimes, HERE.parent / "explained.toml")
    return runtimes


def document(runtimes: list[outcomes.Examined]) -> str:
    cases = outcomes.all_cases(runtimes)
    lines = [HEAD, "## Outcomes", ""]
    lines += [
        "| runtime | cases | kept | lenient | broken | not run |",
        "|---|---|---|---|---|---|",
    ]
    for one in runtimes:
        counts = " | ".join(
            str(one.count(kind)) for kind in ("kept", "lenient", "broken", "not run")
        )
        lines.append(f"| {one.name} {one.version} | {len(one.outcomes)} | {counts} |")
    cgroups = "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1 (hybrid)"
    lines += [
        "",
        f"Linux {platform.release().split('-')[0]}, cgroup {cgroups}.",
        "",
        "## Not kept",
        "",
    ]
    lines += ["| runtime | case | outcome | why |", "|---|---|---|---|"]
    for one in runtimes:
        for name, outcome in sorted(one.outcomes.items()):
            if outcome.outcome in ("broken", "lenient"):
                lines.append(f"| {one.name} | `{name}` | {outcome.outcome} | {outcome.why} |")
    for one in runtimes[:1]:
        for name, outcome in sorted(one.outcomes.items()):
            if outcome.outcome == "not run":
                lines.append(f"| all | `{name}` | not run | {outcome.seen} |")
    lines += ["", "## Clauses", ""]
    heads = " | ".join(one.name for one in runtimes)
    lines += [f"| clause | where | what it asks for | cases | {heads} |",
              "|---|---|---|---|" + "---|" * len(runtimes)]  # fmt: skip
    by_clause = defaultdict(list)
    for case in cases:
        by_clause[case.clause].append(case)
    for clause, group in sorted(by_clause.items()):
        cells = " | ".join(_cell(one, [case.case for case in group]) for one in runtimes)
        first = group[0]
        lines.append(f"| `{clause}` | {first.place} | {first.text} | {len(group)} | {cells} |")
    lines += ["", "## Clauses that no case holds", "", "| clause | where | why |", "|---|---|---|"]
    lines += [f"| {text} | {place} | {why} |" for place, text, why in UNHELD]
    return "\n".join(lines) + "\n"


def _cell(runtime: outcomes.Examined, names: list[str]) -> str:
    """ "kept", or how many of the cases are what."""
    kinds = [runtime.outcomes[name].outcome for name in names if name in runtime.outcomes]
    words = []
    for kind in ("kept", "lenient", "broken", "not run"):
        if count := kinds.count(kind):
            word = {"broken": "**broken**", "not run": "-"}.get(kind, kind)
            words.append(word if count == len(kinds) else f"{count} {word}")
    return ", ".join(words)


if __name__ == "__main__":
    sys.stdout.write(document(examine(sys.argv[1:])))
