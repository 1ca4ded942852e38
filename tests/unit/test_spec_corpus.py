# SPDX-License-Identifier: Apache-2.0
"""The loader and the JSON schemas agree on 2000 documents, but where a table says why not.

The judges are pyrunc/spec/config.schema.json, and the specification's own schemas where Debian's
golang-github-opencontainers-specs-dev is installed.
"""

from __future__ import annotations

import re

import pytest

from tests.spec_table import corpus
from tests.spec_table.disagreements import DIFFERENCES, OFFICIAL, OWN, PYRUNC, SCHEMA, Difference

JUDGES = {OWN: (corpus.own, corpus.FULL), OFFICIAL: (corpus.official, corpus.older())}


def rows_for(judge: str, variant: corpus.Variant, ours: str, theirs: str) -> list[Difference]:
    """The rows of the table that explain a difference."""
    refuses, message = (PYRUNC, ours) if ours else (SCHEMA, theirs)
    return [
        row
        for row in DIFFERENCES
        if judge in row.judges
        and row.refuses == refuses
        and re.search(row.pointer, variant.pointer)
        and re.search(row.message, message)
    ]


@pytest.mark.parametrize("judge", JUDGES)
def test_who_agrees_and_who_does_not(judge: str) -> None:
    if judge == OFFICIAL and not corpus.OFFICIAL.is_dir():
        pytest.skip("needs golang-github-opencontainers-specs-dev")
    make, full = JUDGES[judge]
    judgement = make()
    variants = corpus.corpus(full)
    unexplained, shown, right, wrong = [], set(), 0, 0
    for variant in variants:
        ours, theirs = corpus.loader(variant.document), judgement(variant.document)
        if bool(ours) == bool(theirs):
            right, wrong = right + (not ours), wrong + bool(ours)
            continue
        rows = rows_for(judge, variant, ours, theirs)
        shown |= set(rows)
        if not rows:
            unexplained.append(f"{variant.pointer} {variant.change}: {ours or theirs}")
    assert unexplained == []
    assert [row for row in DIFFERENCES if judge in row.judges and row not in shown] == []
    # Enough of both kinds, and the document that they are made of is a right one.
    assert len(variants) > 2000
    assert min(right, wrong) > 500
    assert corpus.loader(full) == judgement(full) == ""


def test_the_corpus_is_the_same_each_time_and_changes_every_member() -> None:
    first, second = corpus.corpus(corpus.FULL), corpus.corpus(corpus.FULL)
    assert first == second
    assert {variant.pointer for variant in first[1:]} == {
        pointer for pointer, _ in corpus.places(corpus.FULL)
    }
    changed = {variant.change for variant in first}
    assert {"removed", "null", "number", "fraction", "text", "emptied", "doubled", "more"} < changed
