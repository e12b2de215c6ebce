# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes this checkout importable as the collection, which tests/unit/plugins/conftest.py knows how to do."""

from __future__ import annotations

from tests.unit.plugins.conftest import pytest_configure

__all__ = ["pytest_configure"]
