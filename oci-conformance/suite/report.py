# SPDX-License-Identifier: Apache-2.0
"""The outcomes as a table, TAP, JUnit's XML, or HTML."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from html import escape
from xml.etree import ElementTree as Xml

from outcomes import Examined, Outcome, all_cases

SIGNS = {"kept": "kept", "broken": "BROKEN", "lenient": "lenient", "not run": "-"}


def _word(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    return SIGNS[outcome.outcome] + ("*" if outcome.why else "")


def _flat(text: str) -> str:
    return " ".join(text.split())


def table(runtimes: list[Examined]) -> str:
    """Every case, runtimes side by side; below it, what is not kept."""
    cases = all_cases(runtimes)
    width = max(len(one.case) for one in cases)
    titles = [f"{one.name} {one.version}" for one in runtimes]
    lines = [" ".join([f"{'case':{width}}", *titles])]
    for case in cases:
        words = [
            f"{_word(one.outcomes.get(case.case)):{len(title)}}"
            for one, title in zip(runtimes, titles, strict=True)
        ]
        lines.append(" ".join([f"{case.case:{width}}", *words]).rstrip())
    for runtime in runtimes:
        for one in runtime.outcomes.values():
            if one.outcome in ("broken", "lenient"):
                lines += [
                    "",
                    f"{runtime.name}: {one.case}: {one.outcome}",
                    f"  clause    {one.place}: {one.text}",
                    f"  expected  {_flat(one.expected)}",
                    f"  seen      {_flat(one.seen)}",
                ]
                lines += [f"  known     {one.why}"] if one.why else []
    lines += ["", "* explained in explained.toml", *map(_summary, runtimes)]
    return "\n".join(lines) + "\n"


def _summary(runtime: Examined) -> str:
    counts = ", ".join(f"{runtime.count(word)} {word}" for word in SIGNS)
    return f"{runtime.name} {runtime.version}: {counts}; {runtime.seconds:.0f} s"


def tap(runtimes: list[Examined]) -> str:
    """Test Anything Protocol, version 13."""
    lines, number = ["TAP version 13"], 0
    for runtime in runtimes:
        for one in runtime.outcomes.values():
            number += 1
            good = "not ok" if one.outcome == "broken" else "ok"
            mark = f" # TODO {_flat(one.why)}" if one.outcome == "broken" and one.why else ""
            mark = f" # SKIP {_flat(one.seen)}" if one.outcome == "not run" else mark
            lines.append(f"{good} {number} - {runtime.name} {one.case}{mark}")
            if one.outcome in ("broken", "lenient"):
                lines += ["  ---", f"  expected: {_flat(one.expected)!r}",
                          f"  seen: {_flat(one.seen)!r}", "  ..."]  # fmt: skip
    lines.insert(1, f"1..{number}")
    return "\n".join(lines) + "\n"


def junit(runtimes: list[Examined]) -> str:
    suites = Xml.Element("testsuites")
    for runtime in runtimes:
        suite = Xml.SubElement(
            suites, "testsuite", name=f"{runtime.name} {runtime.version}",
            tests=str(len(runtime.outcomes)), failures=str(runtime.count("broken")),
            skipped=str(runtime.count("not run")), time=f"{runtime.seconds:.1f}",
        )  # fmt: skip
        for one in runtime.outcomes.values():
            case = Xml.SubElement(suite, "testcase", classname=one.clause, name=one.case)
            if one.outcome == "broken":
                failure = Xml.SubElement(case, "failure", message=_flat(one.expected))
                failure.text = f"{one.place}: {one.text}\nseen: {one.seen}\n{one.why}"
            elif one.outcome == "not run":
                Xml.SubElement(case, "skipped", message=_flat(one.seen))
            elif one.outcome == "lenient":
                Xml.SubElement(case, "system-out").text = f"lenient: {one.seen}\n{one.why}"
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


STYLE = (
    "body{font:15px/1.4 sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}"
    ".kept{background:#e6f4e6}.broken{background:#f8d7d7}.lenient{background:#fbf1cf}"
)


def html(runtimes: list[Examined]) -> str:
    heads = "".join(f"<th>{escape(one.name)} {escape(one.version)}</th>" for one in runtimes)
    body = []
    for case in all_cases(runtimes):
        cells = [f"<td>{escape(case.case)}</td><td>{escape(case.place)}: {escape(case.text)}</td>"]
        for runtime in runtimes:
            one = runtime.outcomes.get(case.case)
            details = ""
            if one and one.outcome in ("broken", "lenient"):
                details = f"<br>expected: {escape(one.expected)}<br>seen: {escape(one.seen)}"
                details += f"<br><em>{escape(one.why)}</em>" if one.why else ""
            kind = one.outcome.replace(" ", "-") if one else "not-run"
            cells.append(f'<td class="{kind}">{_word(one)}{details}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    summary = "".join(f"<p>{escape(_summary(one))}</p>" for one in runtimes)
    return (
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>OCI conformance</title>'
        f"<style>{STYLE}</style>\n<h1>OCI conformance</h1>{summary}\n"
        f"<table><tr><th>case</th><th>clause</th>{heads}</tr>\n" + "\n".join(body) + "</table>\n"
    )


def host() -> str:
    """This host, as far as outcomes depend on it."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    return f"Linux {platform.release().split('-')[0]}, cgroup {'v2' if unified else 'v1'}"


def stored(runtimes: list[Examined]) -> str:
    """For suite/document.py, which explains them later."""
    return json.dumps({"host": host(), "runtimes": [asdict(one) for one in runtimes]}) + "\n"


FORMATS: dict[str, Callable[[list[Examined]], str]] = {
    "table": table,
    "tap": tap,
    "junit": junit,
    "html": html,
    "json": stored,
}
