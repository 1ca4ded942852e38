# SPDX-License-Identifier: Apache-2.0
"""The version, for all that have to name it."""

VERSION = "0.1.0"
