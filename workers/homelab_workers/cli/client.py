# SPDX-License-Identifier: Apache-2.0
"""HTTP with errors that a person can act on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from .exits import FAILED, UNREACHABLE, CliError

TIMEOUT = httpx.Timeout(300.0, connect=5.0)


class Client:
    """One service. `name` and `variable` (of its key) appear in errors."""

    def __init__(self, name: str, base_url: str, key: str | None, variable: str) -> None:
        self.name = name
        self.base_url = base_url
        self._variable = variable
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy of the environment is for other machines.
        elsewhere = urlsplit(base_url).hostname not in ("127.0.0.1", "::1", "localhost")
        self.http = httpx.Client(base_url=base_url, headers=headers, timeout=TIMEOUT, trust_env=elsewhere)

    def close(self) -> None:
        self.http.close()

    def json(self, method: str, path: str, **arguments: Any) -> Any:
        """The parsed body. Raises CliError for whatever is not a success."""
        return self.send(method, path, **arguments).json()

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        with self.reached():
            response = self.http.request(method, path, **arguments)
        self.accepted(response)
        return response

    @contextmanager
    def reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise CliError(
                f"{self.name} at {self.base_url} does not answer: {error or type(error).__name__}",
                fix="start it, or set its address (HOMELAB_URL, HOMELAB_ADMIN_URL); `homelab doctor` checks all",
                code=UNREACHABLE,
            ) from error

    def accepted(self, response: httpx.Response) -> None:
        if response.is_success or response.is_redirect:
            return
        response.read()
        message = error_message(response)
        if response.status_code == 401:
            raise CliError(
                f"{self.name} refuses the key: {message}", fix=f"set {self._variable} or {self._variable}_FILE"
            )
        code = UNREACHABLE if response.status_code in (502, 503, 504) else FAILED
        raise CliError(f"{self.name}: {message} (HTTP {response.status_code})", code=code)


def error_message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:300] or response.reason_phrase


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The JSON of each server-sent event, up to [DONE]."""
    for line in response.iter_lines():
        if line.startswith("data:"):
            data = line[5:].strip()
            if data == "[DONE]":
                return
            yield json.loads(data)
