# SPDX-License-Identifier: Apache-2.0
"""spec.deep and config.schema.json: all findings at once, and the schema matches the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyrunc.spec import deep, load
from pyrunc.spec.fields import Model
from tests.unit.test_spec_load import at, classes, config

SCHEMA: dict[str, Any] = json.loads(Path(deep.SCHEMA_PATH).read_text())


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_the_schema_has_the_members_of_the_model(cls: type[Model]) -> None:
    name = cls.__name__
    part = SCHEMA if name == "Spec" else SCHEMA["$defs"][name]
    assert list(part["properties"]) == list(cls.FIELDS)
    required = {member for member, field in cls.FIELDS.items() if field.required}
    assert required <= set(part.get("required", []))


def test_a_right_document_has_no_findings() -> None:
    raw = config(hooks=None, windows=5)
    assert load.validate_deeply(raw) == []


def test_all_findings_come_at_once_in_order() -> None:
    raw = at(at(config(), "/process/cwd", "x"), "/linux/namespaces/0/type", "pod")
    at(at(raw, "/mounts/2/destination", 5), "/linux/sysctl", {"a/b": 1})
    found = load.validate_deeply(raw)
    assert [line.partition(": ")[0] for line in found] == [
        "/linux/namespaces/0/type",
        "/linux/sysctl/a~1b",
        "/mounts/2/destination",
        "/process/cwd",
    ]
    assert found[2] == "/mounts/2/destination: 5 is not of type 'string'"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (None, "(document): None is not of type 'object'"),
        ({"process": {}}, "(document): 'ociVersion' is a required property"),
    ],
)
def test_documents_that_are_no_config(raw: object, line: str) -> None:
    assert line in load.validate_deeply(raw)
