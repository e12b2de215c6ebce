# SPDX-License-Identifier: Apache-2.0
"""`homelab-service NAME`: one service of the platform as one process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..adapters.jetstream import JetStream
from ..adapters.postgres import PostgresCatalog
from ..errors import AuthRefused, Unavailable
from . import telemetry
from .breaker import Breaker
from .health import Check, health_app, serving
from .loop import Consumer, ShutDown
from .policy import AUTH_DELAYS, SERVICE_DELAYS, jittered, pick
from .settings import Settings, SettingsError
from .wiring import SERVICES, wired

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

WORKER_POOL = 4
"""Connections: a graph lock, a content lock and a unit at the same time, and one for health."""
QUERY_POOL = 16
"""Connections: an upload holds up to two, a search one."""

SCHEMA_NEEDED = 1
"""The newest migration that this release reads; services wait for it, they never migrate."""


def main() -> None:
    """Exit status: 0 after SIGTERM, 1 when credentials are refused for good or the service broke, 2 usage."""
    names = [*SERVICES, "query"]
    parser = argparse.ArgumentParser(prog="homelab-service", description=__doc__)
    parser.add_argument("service", choices=names)
    service = parser.parse_args().service
    telemetry.configure(service)
    try:
        asyncio.run(_run(service))
    except SettingsError as error:
        _log.critical("settings: %s", error)
        sys.exit(2)
    except (AuthRefused, ShutDown) as error:
        _log.critical("stopped: %s", error, extra={"alert": True})
        sys.exit(1)


async def _run(service: str) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    settings = Settings.read(service)
    pool = QUERY_POOL if service == "query" else WORKER_POOL
    catalog = await patiently(
        lambda: PostgresCatalog.open(settings.supabase_url, name=service, max_size=pool), stopping
    )
    if catalog is None:
        return
    bus = await patiently(
        lambda: JetStream.connect(settings.nats_url, name=service, prefix=settings.subject_prefix), stopping
    )
    if bus is None:
        return
    try:
        await wait_for_schema(catalog, stopping)
        if stopping.is_set():
            return
        if service == "query":
            from .query import serve_query

            await serve_query(settings, bus, catalog, service_checks(bus, catalog), stopping)
        else:
            await _consume(settings, bus, catalog, stopping)
    finally:
        await bus.close()
        await catalog.close()


async def _consume(settings: Settings, bus: JetStream, catalog: PostgresCatalog, stopping: asyncio.Event) -> None:
    meters = telemetry.Meters()
    async with wired(settings, bus, catalog) as service:
        app = health_app(service_checks(bus, catalog), service.http)
        async with serving(app, settings.http_host, settings.http_port), asyncio.TaskGroup() as tasks:
            for route in service.routes:
                consumer = Consumer(
                    route,
                    bus,
                    catalog,
                    meters=meters,
                    stopping=stopping,
                    breaker=Breaker("models"),
                )
                tasks.create_task(_stop_all_on_error(consumer.run(), stopping))
            for work in service.background:
                tasks.create_task(_stop_all_on_error(work(stopping), stopping))
            _log.info("ready", extra={"routes": [route.durable for route in service.routes]})
            await stopping.wait()
            _log.info("stopping: what is in hand is finished first")


async def _stop_all_on_error(work: Awaitable[None], stopping: asyncio.Event) -> None:
    try:
        await work
    finally:
        stopping.set()


def service_checks(bus: JetStream, catalog: PostgresCatalog) -> dict[str, Check]:
    async def bus_check() -> str | None:
        return None if bus.connected else "not connected"

    async def catalog_check() -> str | None:
        try:
            await catalog.schema_version()
        except Unavailable as error:
            return error.message
        return None

    return {"bus": bus_check, "postgres": catalog_check}


async def wait_for_schema(catalog: PostgresCatalog, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            version = await catalog.schema_version()
        except Unavailable as error:
            _log.warning("waiting for the schema: %s", error)
        else:
            if version is not None and version >= SCHEMA_NEEDED:
                return
            _log.warning("waiting for migration %s, the database has %s", SCHEMA_NEEDED, version)
        await asyncio.sleep(1.0)


async def patiently(connect: Callable[[], Awaitable[_T]], stopping: asyncio.Event) -> _T | None:
    """Servers may start later than we do: retry what is unavailable, give up on refused credentials."""
    unavailable = refused = 0
    while not stopping.is_set():
        try:
            return await connect()
        except Unavailable as error:
            unavailable += 1
            delay = jittered(pick(SERVICE_DELAYS, unavailable))
            _log.warning("again in %.1f s: %s", delay, error)
        except AuthRefused as error:
            refused += 1
            if refused > len(AUTH_DELAYS):
                raise
            delay = jittered(pick(AUTH_DELAYS, refused))
            _log.error("credentials refused, again in %.1f s: %s", delay, error)
        try:
            await asyncio.wait_for(stopping.wait(), delay)
        except TimeoutError:
            continue
    return None
