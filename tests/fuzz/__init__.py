# SPDX-License-Identifier: Apache-2.0
"""Command lines and environments, asked of the executable and of the plain command."""
