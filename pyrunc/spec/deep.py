# SPDX-License-Identifier: Apache-2.0
"""All schema violations of a document at once, by jsonschema and config.schema.json.

For people who write a config.json. No command that creates a container may import this.
"""

from __future__ import annotations

import os.path
from typing import Any

from jsonschema import Draft202012Validator

from pyrunc import jsontext
from pyrunc.errors import json_pointer, one_line

SCHEMA_PATH = os.path.join(os.path.dirname(__file__), "config.schema.json")


def findings(raw: object) -> list[str]:
    """Hold a document against the schema.

    Args:
        raw: the JSON value of a config.json.

    Returns:
        One line per finding, "/pointer: what is wrong", in the document's order.
    """
    with open(SCHEMA_PATH, "rb") as file:
        schema = jsontext.loads(file.read(), "config.schema.json")
    errors = sorted(Draft202012Validator(schema).iter_errors(_without_nulls(raw)), key=_place)
    return [one_line(f"{_pointer(error.absolute_path)}: {error.message}") for error in errors]


def _place(error: Any) -> list[str]:
    return [f"{part:08}" if isinstance(part, int) else part for part in error.absolute_path]


def _pointer(path: Any) -> str:
    return json_pointer(*path) or "(document)"


def _without_nulls(value: Any) -> Any:
    # A null member counts as absent, which no schema can say in one place.
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(member) for member in value]
    return value
