# SPDX-License-Identifier: Apache-2.0
"""Wires the query service's adapters and serves it until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import httpx

from ..adapters.docling.engine import engine
from ..adapters.jetstream import JetStream
from ..adapters.objects import open_store
from ..adapters.openai import OpenAIChat, OpenAIEmbedder
from ..adapters.postgres import PostgresCatalog
from ..adapters.search_postgres import PostgresDocuments, PostgresSearch
from ..adapters.sparql_read import JSON_RESULTS, SparqlReader
from ..adapters.tokenizer import FileTokenizer
from ..errors import Unavailable
from ..model_registry import embedding_model
from ..query.auth import Keys
from ..query.floor import Floor
from ..query.http import Deps, QuerySettings, create_app
from .health import Check, serving
from .settings import Environment, Settings, SettingsError
from .telemetry import metrics_page

_log = logging.getLogger(__name__)


async def serve_query(
    settings: Settings, bus: JetStream, catalog: PostgresCatalog, checks: dict[str, Check], stopping: asyncio.Event
) -> None:
    env = settings.environment
    model = embedding_model(env.text("EMBEDDING_MODEL"))
    endpoint, key = env.text("LITELLM_ENDPOINT"), env.text("LITELLM_API_KEY")
    tokenize_url = env.text("CHAT_TOKENIZE_URL", "") or None
    async with AsyncExitStack() as stack:
        embedder = await stack.enter_async_context(OpenAIEmbedder(endpoint, key, model))
        chat = await stack.enter_async_context(
            OpenAIChat(
                endpoint,
                key,
                env.text("CHAT_MODEL"),
                tokenize_url=tokenize_url,
                tokenize_key=env.text("CHAT_TOKENIZE_KEY", ""),
            )
        )
        graph = SparqlReader(env.text("OXIGRAPH_ENDPOINT"))
        stack.push_async_callback(graph.aclose)
        deps = Deps(
            settings=QuerySettings(
                work_dir=settings.work_dir,
                floor=floor(env),
                chat_context=env.whole("CHAT_CONTEXT", 4096, least=256),
                answer_tokens=env.whole("ANSWER_TOKENS", 256, least=16),
                query_tokens=model.trained_tokens,
                max_upload_bytes=env.whole("MAX_UPLOAD_MIB", 512, least=1) << 20,
                cors_origins=tuple(env.text("CORS_ORIGINS", "").split()),
            ),
            search=PostgresSearch(catalog.pool),
            documents=PostgresDocuments(catalog.pool),
            catalog=catalog,
            objects=open_store(**settings.object_store()),
            bus=bus,
            embedder=embedder,
            chat=chat,
            graph=graph,
            keys=Keys.parse(env.text("QUERY_KEYS")),
            fingerprint=settings.pipeline(engine()).fingerprint(),
            metrics=metrics_page,
            tokenizer=FileTokenizer(env.path("TOKENIZER_FILE"), model),
            checks={**checks, "graph": _graph_check(graph), "models": _models_check(endpoint)},
            signing_key=env.text("CONTENT_SIGNING_KEY").encode(),
        )
        async with serving(create_app(deps), settings.http_host, settings.http_port):
            _log.info("ready")
            await stopping.wait()


def floor(env: Environment) -> Floor:
    """The fitted bounds, or FLOOR_COSINE, FLOOR_COVERAGE and FLOOR_LEXICAL where another model wants other ones.

    Each 0..1. Raises SettingsError for anything else.
    """
    standard = Floor()
    return Floor(
        cosine=_share(env, "FLOOR_COSINE", standard.cosine),
        coverage=_share(env, "FLOOR_COVERAGE", standard.coverage),
        lexical=_share(env, "FLOOR_LEXICAL", standard.lexical),
    )


def _share(env: Environment, name: str, default: float) -> float:
    value = env.text(name, str(default))
    try:
        share = float(value)
    except ValueError:
        raise SettingsError(f"{name} is {value!r}: it must be a number from 0 to 1") from None
    if not 0.0 <= share <= 1.0:  # NaN as well
        raise SettingsError(f"{name} is {value}: it must be from 0 to 1")
    return share


def _graph_check(graph: SparqlReader) -> Check:
    async def check() -> str | None:
        try:
            await graph.read("ASK {}", accept=JSON_RESULTS, seconds=2.0, max_bytes=1024)
        except Unavailable as error:
            return error.message
        return None

    return check


def _models_check(endpoint: str) -> Check:
    async def check() -> str | None:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            try:
                response = await client.get(f"{endpoint.rstrip('/')}/health/liveliness")
            except httpx.HTTPError as error:
                return type(error).__name__
        return None if response.is_success else f"HTTP {response.status_code}"

    return check
