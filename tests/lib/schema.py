# SPDX-License-Identifier: Apache-2.0
"""config.schema.json, which the package has for editors, by jsonschema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import pyrunc.spec

PATH = Path(pyrunc.spec.__file__).with_name("config.schema.json")


def findings(raw: object) -> list[str]:
    """Where a document does not fit the schema: JSON pointers, "" for the whole."""
    validator = Draft202012Validator(json.loads(PATH.read_text()))
    errors = validator.iter_errors(without_nulls(raw))
    return ["".join(f"/{part}" for part in error.absolute_path) for error in errors]


def without_nulls(value: Any) -> Any:
    """A null member counts as absent, which no schema can say in one place."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value
