# SPDX-License-Identifier: Apache-2.0
"""`homelab`: the command line. It speaks HTTP to the query service and the reconciler, and nothing else."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
