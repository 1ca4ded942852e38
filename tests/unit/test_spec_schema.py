# SPDX-License-Identifier: Apache-2.0
"""config.schema.json, for editors: it is the model's, and refuses what the readers refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyrunc.spec import validate
from pyrunc.spec.fields import Model
from tests.lib import schema
from tests.unit.test_spec_load import at, classes, config, dumped

SCHEMA: dict[str, Any] = json.loads(schema.PATH.read_text())


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_the_schema_has_the_members_of_the_model(cls: type[Model]) -> None:
    name = cls.__name__
    part = SCHEMA if name == "Spec" else SCHEMA["$defs"][name]
    assert list(part["properties"]) == list(cls.FIELDS)
    required = {member for member, field in cls.FIELDS.items() if field.required}
    assert required <= set(part.get("required", []))


def test_a_right_document_fits() -> None:
    assert schema.findings(config(hooks=None, windows=5)) == []


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/process/cwd", "x"),
        ("/linux/namespaces/0/type", "pod"),
        ("/mounts/2/destination", 5),
        ("/linux/sysctl", {"a": 1}),
        ("/ociVersion", None),
    ],
)
def test_an_editor_marks_what_create_refuses(pointer: str, value: object) -> None:
    raw = at(config(), pointer, value)
    (fault,) = [one for one in validate.validate(dumped(raw)) if one.fault]
    (place,) = schema.findings(raw)
    # The schema has a missing member at the object that lacks it.
    assert fault.pointer.startswith(place)


@pytest.mark.parametrize("raw", [None, [], {"process": {}}])
def test_documents_that_are_no_config(raw: object) -> None:
    assert "" in schema.findings(raw)
