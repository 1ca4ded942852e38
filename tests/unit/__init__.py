# SPDX-License-Identifier: Apache-2.0
"""Pure code: neither root nor the command is needed."""
