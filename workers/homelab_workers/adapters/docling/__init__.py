# SPDX-License-Identifier: Apache-2.0
"""The Docling adapter: a parent that watches (extractor, process) and a confined child that parses."""

from .extractor import DoclingExtractor

__all__ = ["DoclingExtractor"]
