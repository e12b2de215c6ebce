# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes this checkout importable as the collection, as for the unit tests of plugins."""

from tests.unit.plugins.conftest import pytest_configure

pytest_configure()
