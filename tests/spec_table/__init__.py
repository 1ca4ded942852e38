# SPDX-License-Identifier: Apache-2.0
"""The table of the specification: docs/spec-coverage.md, and which test proves each row."""
