# SPDX-License-Identifier: Apache-2.0
"""Puts adapters behind the ports of each service. The only place that knows both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.routing import BaseRoute

from ..adapters.jetstream import JetStream
from ..adapters.objects import DirectoryObjects, open_store
from ..adapters.oxigraph import OxigraphStore
from ..adapters.postgres import PostgresCatalog
from ..contracts import Chunked, DocDeleted, EmbedCompleted, EmbedRequested, Extracted, IngestRequested
from ..stages.chunk import ChunkStage
from ..stages.delete import Delete
from ..stages.embed import Embed, EmbedPlan
from ..stages.extract import Extract
from ..stages.graph import Graph
from .loop import Route, one_by_one
from .periodic import periodic
from .settings import Settings

RAW_EXPIRY_SECONDS = 3_600.0

Work = Callable[[asyncio.Event], Awaitable[None]]


class Service:
    """What `main` runs: consumer routes, background work, and HTTP routes beside health."""

    def __init__(self, settings: Settings, bus: JetStream, catalog: PostgresCatalog, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.bus = bus
        self.catalog = catalog
        self.stack = stack
        self.routes: list[Route] = []
        self.background: list[Work] = []
        self.http: list[BaseRoute] = []


@asynccontextmanager
async def wired(settings: Settings, bus: JetStream, catalog: PostgresCatalog) -> AsyncIterator[Service]:
    """The service named in `settings`, with its adapters open while the block runs."""
    async with AsyncExitStack() as stack:
        service = Service(settings, bus, catalog, stack)
        await SERVICES[settings.service](service)
        yield service


async def _extract(service: Service) -> None:
    from ..adapters.docling import DoclingExtractor

    settings = service.settings
    extractor = DoclingExtractor(settings.work_dir)
    service.stack.push_async_callback(extractor.close)
    await extractor.start()
    stage = Extract(
        service.catalog,
        open_store(**settings.object_store()),
        extractor,
        pipeline=settings.pipeline(extractor.engine),
        limits=settings.extract_limits(),
        work_dir=settings.work_dir,
    )
    service.routes.append(Route("extract", "INGEST", "extract", IngestRequested, one_by_one(stage.handle)))


async def _chunk(service: Service) -> None:
    from ..adapters.tokenizer import FileTokenizer
    from ..model_registry import chunk_window, embedding_model

    env = service.settings.environment
    model = embedding_model(env.text("EMBEDDING_MODEL"))
    window, overlap = chunk_window(model, env.whole("CHUNK_SIZE", 512, least=8), env.whole("CHUNK_OVERLAP", 128))
    stage = ChunkStage(
        service.catalog,
        open_store(**service.settings.object_store()),
        FileTokenizer(env.path("TOKENIZER_FILE"), model),
        window=window,
        overlap=overlap,
        embedding_model=model.name,
    )
    service.routes.append(Route("chunk", "INGEST", "chunk", Extracted, one_by_one(stage.handle)))


async def _embed(service: Service) -> None:
    from ..adapters.openai import OpenAIEmbedder
    from ..model_registry import embedding_model

    env = service.settings.environment
    model = embedding_model(env.text("EMBEDDING_MODEL"))
    embedder = OpenAIEmbedder(env.text("LITELLM_ENDPOINT"), env.text("LITELLM_API_KEY"), model)
    service.stack.push_async_callback(embedder.aclose)
    plan = EmbedPlan(service.catalog, model=model.name)
    stage = Embed(service.catalog, embedder, batch=env.whole("EMBED_BATCH", 16, least=1))
    service.routes.append(Route("embed-plan", "INGEST", "embed-plan", Chunked, one_by_one(plan.handle)))
    service.routes.append(
        Route(
            "embed",
            "EMBED",
            "embed",
            EmbedRequested,
            stage.handle_batch,
            batch=env.whole("EMBED_SPANS", 4, least=1),
        )
    )


async def _graph(service: Service) -> None:
    store = OxigraphStore(service.settings.environment.text("OXIGRAPH_ENDPOINT"))
    service.stack.push_async_callback(store.close)
    stage = Graph(service.catalog, open_store(**service.settings.object_store()), store)
    service.routes.append(Route("graph", "EMBED", "graph", EmbedCompleted, one_by_one(stage.handle)))


async def _delete(service: Service) -> None:
    store = OxigraphStore(service.settings.environment.text("OXIGRAPH_ENDPOINT"))
    service.stack.push_async_callback(store.close)
    stage = Delete(service.catalog, open_store(**service.settings.object_store()), store)
    service.routes.append(Route("delete", "INGEST", "delete", DocDeleted, one_by_one(stage.handle)))


async def _reconcile(service: Service) -> None:
    from .admin import admin_routes
    from .raw_expiry import RawExpiry
    from .reconciler import Reconciler

    env = service.settings.environment
    objects = open_store(**service.settings.object_store())
    reconciler = Reconciler(
        service.catalog,
        service.bus,
        model=env.text("EMBEDDING_MODEL"),
        grace_seconds=env.whole("RECONCILE_GRACE_SECONDS", 120, least=1),
    )
    every = env.whole("RECONCILE_EVERY_SECONDS", 15, least=1)
    service.background.append(periodic("sweep", reconciler.sweep, seconds=every))
    if isinstance(objects, DirectoryObjects):
        days = env.whole("RAW_EXPIRY_DAYS", 90, least=1)
        expiry = RawExpiry(service.catalog, objects, days=days)
        service.background.append(periodic("expiry", expiry.sweep, seconds=RAW_EXPIRY_SECONDS))
    service.http.extend(admin_routes(service.catalog, service.bus, objects, reconciler, env.text("QUERY_KEYS")))


SERVICES: dict[str, Callable[[Service], Awaitable[None]]] = {
    "extract": _extract,
    "chunk": _chunk,
    "embed": _embed,
    "graph": _graph,
    "delete": _delete,
    "reconcile": _reconcile,
}
