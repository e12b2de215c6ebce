# SPDX-License-Identifier: Apache-2.0
"""A gate before a service that may be down: it says how long to wait, and lets one probe through."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from ..errors import Unavailable
from .policy import BREAKER_FAILURES, BREAKER_SECONDS, MODEL_DELAYS, pick

BreakerState = Literal["closed", "half_open", "open"]


class Breaker:
    """Counts consecutive failures of one target. After five it is open for 60 s, then half-open:
    the next call is a probe, whose success closes it and whose failure opens it again for 30 s."""

    def __init__(self, target: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.target = target
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def state(self) -> BreakerState:
        if self._failures < BREAKER_FAILURES:
            return "closed"
        return "open" if self._clock() < self._until else "half_open"

    def wait(self) -> float:
        """Seconds until the next call is allowed; 0 now."""
        return max(0.0, self._until - self._clock())

    def success(self) -> None:
        self._failures = 0
        self._until = 0.0

    def failure(self, error: Unavailable) -> float:
        """Returns the seconds for which no call is allowed."""
        self._failures += 1
        opens = self._failures == BREAKER_FAILURES
        delay = BREAKER_SECONDS if opens else pick(MODEL_DELAYS, self._failures)
        if error.retry_after is not None:
            delay = max(delay, error.retry_after) if self._failures >= BREAKER_FAILURES else error.retry_after
        self._until = self._clock() + delay
        return delay
