# SPDX-License-Identifier: Apache-2.0
"""The failure policy of docs/contracts.md as data: what a failure means for the message and the worker."""

from __future__ import annotations

import random
from collections.abc import Callable

CRASH_DELAYS = (30.0, 60.0, 120.0, 120.0)
"""Seconds before each further attempt of a document whose parser or worker died; then the dead letter."""

MODEL_DELAYS = (1.0, 5.0, 30.0)
"""Seconds while a model server does not answer; the last one repeats."""

SERVICE_DELAYS = (1.0, 5.0, 30.0)
"""Seconds for every other service; the last one repeats."""

GRAPH_DELAY = 5.0
GRAPH_TRIES = 5
"""The triple store: fixed delay, then the message is left to the reconciler."""

AUTH_DELAYS = (1.0, 5.0, 30.0)
"""Seconds between attempts with credentials that are refused; then the service exits."""

BREAKER_FAILURES = 5
BREAKER_SECONDS = 60.0


def pick(delays: tuple[float, ...], failure: int) -> float:
    """The delay after the `failure`-th failure (from 1); the last one repeats."""
    return delays[min(failure, len(delays)) - 1]


def jittered(seconds: float, draw: Callable[[float, float], float] = random.uniform) -> float:
    """The policy's value times uniform(0.8, 1.2), so that workers do not return in step."""
    return seconds * draw(0.8, 1.2)
