# SPDX-License-Identifier: Apache-2.0
"""The extractor's name in the pipeline fingerprint."""

from __future__ import annotations

from importlib.metadata import version

_RULES = "text/1"
"""Raised whenever our own rules change what comes out for the same bytes."""


def engine() -> str:
    """For example `docling-slim 2.142.1 text/1`; imports nothing of docling."""
    return f"docling-slim {version('docling-slim')} {_RULES}"
