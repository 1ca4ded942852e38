# SPDX-License-Identifier: Apache-2.0
"""A runner for the validation programs of opencontainers/runtime-tools."""
