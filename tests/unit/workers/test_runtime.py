# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaker, delays and settings: the parts of the runtime that need no server."""

from __future__ import annotations

from pathlib import Path

import pytest

from homelab_workers.errors import Unavailable
from homelab_workers.runtime.breaker import Breaker
from homelab_workers.runtime.policy import CRASH_DELAYS, SERVICE_DELAYS, jittered, pick
from homelab_workers.runtime.settings import Environment, Settings, SettingsError

DOWN = Unavailable("models", "connection refused")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_breaker_follows_the_failure_table() -> None:
    clock = Clock()
    breaker = Breaker("models", clock=clock)
    waits = []
    for _unused in range(7):
        waits.append(breaker.failure(DOWN))
        clock.now += breaker.wait()
    assert waits == [1.0, 5.0, 30.0, 30.0, 60.0, 30.0, 30.0]


def test_the_breaker_is_open_then_lets_one_probe_through_then_closes() -> None:
    clock = Clock()
    breaker = Breaker("models", clock=clock)
    for _unused in range(5):
        assert breaker.state == "closed"
        breaker.failure(DOWN)
    assert breaker.state == "open" and breaker.wait() == 60.0
    clock.now += 60.0
    assert breaker.state == "half_open" and breaker.wait() == 0.0
    breaker.success()
    assert breaker.state == "closed"


def test_retry_after_is_honoured() -> None:
    breaker = Breaker("models", clock=Clock())
    limited = Unavailable("models", "429", retry_after=7.0, limited=True)
    assert breaker.failure(limited) == 7.0
    for _unused in range(4):
        last = breaker.failure(limited)
    assert last == 60.0, "an open breaker waits its own time at least"


def test_delays_repeat_their_last_value_and_are_jittered() -> None:
    assert [pick(SERVICE_DELAYS, n) for n in (1, 2, 3, 4, 50)] == [1.0, 5.0, 30.0, 30.0, 30.0]
    assert [pick(CRASH_DELAYS, n) for n in (1, 2, 3)] == [30.0, 60.0, 120.0]
    drawn = [jittered(10.0) for _unused in range(200)]
    assert 8.0 <= min(drawn) < 9.0 < 11.0 < max(drawn) <= 12.0


def test_a_setting_comes_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("nats://extract:pw@host\n")
    env = Environment({"NATS_URL_FILE": str(secret), "CHUNK_SIZE": "256"})
    assert env.text("NATS_URL") == "nats://extract:pw@host"
    assert env.whole("CHUNK_SIZE", 512) == 256


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "NATS_URL is not set"),
        ({"NATS_URL_FILE": "/nowhere/at/all"}, "/nowhere/at/all: No such file"),
        ({"NATS_URL": "x", "SUPABASE_URL": "y", "HOMELAB_HTTP_PORT": "many"}, "HOMELAB_HTTP_PORT is 'many'"),
        ({"NATS_URL": "x", "SUPABASE_URL": "y", "HOMELAB_HTTP_PORT": "-1"}, "at least 0"),
    ],
)
def test_a_bad_setting_is_named(values: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.read("extract", values)


def test_equal_settings_give_an_equal_fingerprint_and_other_settings_another() -> None:
    base = {"NATS_URL": "x", "SUPABASE_URL": "y", "EMBEDDING_MODEL": "all-MiniLM-L6-v2"}

    def fingerprint(engine: str = "e", **more: str) -> str:
        return Settings.read("extract", {**base, **more}).pipeline(engine).fingerprint()

    assert fingerprint() == fingerprint(HOMELAB_HTTP_PORT="1")
    assert (
        len({fingerprint(), fingerprint("other"), fingerprint(CHUNK_SIZE="256"), fingerprint(EMBEDDING_MODEL="b")}) == 4
    )
