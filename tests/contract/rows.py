# SPDX-License-Identifier: Apache-2.0
"""All rows of the contract."""

import rows_errors  # noqa: F401
import rows_output  # noqa: F401
from harness import ROWS

__all__ = ["ROWS"]
