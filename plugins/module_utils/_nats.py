# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""A JetStream session for modules: raw API requests, with errors that say what went wrong.

Requests go to the server's JSON API (`$JS.API.*`) rather than through the typed classes of
nats-py, so that fields which the library does not know survive an update, and are compared
exactly (durations are integers of nanoseconds on the wire).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import ssl
import traceback
from pathlib import Path
from typing import Any, Callable, NoReturn
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import nats.errors
    from nats.aio.client import Client
except ImportError:
    NATS_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    NATS_IMPORT_ERROR = None

NATS_ARGUMENTS: dict[str, Any] = {
    "servers": {"type": "list", "elements": "str", "default": ["nats://127.0.0.1:4222"]},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "password_file": {"type": "path", "no_log": False},
    "token": {"type": "str", "no_log": True},
    "creds_file": {"type": "path"},
    "nkey_seed_file": {"type": "path", "no_log": False},
    "tls_ca": {"type": "path"},
    "tls_cert": {"type": "path"},
    "tls_key": {"type": "path", "no_log": False},
    "inbox_prefix": {"type": "str"},
    "timeout": {"type": "float", "default": 10},
}
NATS_CONSTRAINTS: dict[str, Any] = {
    "mutually_exclusive": [("password", "password_file"), ("user", "token", "creds_file", "nkey_seed_file")],
    "required_by": {"password": ("user",), "password_file": ("user",)},
    "required_together": [("tls_cert", "tls_key")],
}

JETSTREAM_NOT_ENABLED = 10039


class NatsError(Exception):
    """Anything that stops the module; the text is meant for the user."""


class ApiError(NatsError):
    """The server's own refusal. `code` is its `err_code`, for example 10059 for "stream not found"."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} (err_code {code})")
        self.code = code


class JetStream:
    """A connection, used as a context manager. Its methods block and raise NatsError."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._servers: list[str] = params["servers"]
        self._timeout: float = params["timeout"]
        self._login, self._who = login(params)
        self.secrets = [self._login[name] for name in SECRETS if self._login.get(name)]
        self._tls = tls_context(params)
        user = params["user"]
        self._inbox: str = params["inbox_prefix"] or (f"_INBOX_{user}" if user else "_INBOX")
        self._loop = asyncio.new_event_loop()
        self._reported: asyncio.Queue[Exception]
        self._client: Any = None

    def __enter__(self) -> JetStream:
        try:
            self._loop.run_until_complete(self._connect())
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(self, *_args: object) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()

    async def _connect(self) -> None:
        failures = []
        for server in self._servers:
            if urlsplit(server).username is not None:
                raise NatsError("servers holds credentials: move them to the options user and password, or token")
            try:
                await asyncio.wait_for(self._connect_to(server), timeout=self._timeout + 1)
                return
            except asyncio.TimeoutError:
                failures.append(f"{server}: no answer within {self._timeout:g} s")
            except ssl.SSLError as error:
                self._refuse_certificate(server, error)
            except (OSError, nats.errors.Error) as error:
                if re.search("authorization|authentication", str(error), re.IGNORECASE):
                    raise NatsError(
                        f"the NATS server {server} refused {self._who}: {error}. "
                        "Check the credentials against the server's users, and that they belong to this server"
                    ) from error
                # The server ends the connection after the handshake when it misses a client certificate.
                if self._tls and isinstance(error, (nats.errors.UnexpectedEOF, ConnectionResetError)):
                    self._refuse_certificate(server, error)
                failures.append(f"{server}: {error}")
        raise NatsError(
            f"cannot reach a NATS server as {self._who} ({'; '.join(failures)}). "
            "Check that it is running and that servers names its address and port"
        )

    async def _connect_to(self, server: str) -> None:
        # Fresh for each server: what is reported about one that fails says nothing about the next one.
        # Made here, because Python 3.9 binds it to the loop that runs.
        self._reported = asyncio.Queue()
        client: Any = Client()  # whose annotations know no fraction of a second for connect_timeout
        tls = self._tls or (ssl.create_default_context() if urlsplit(server).scheme == "tls" else None)

        def only_encrypted(secret: str) -> Callable[[], str]:
            # Asked for when it is about to be sent: nats-py would do so in plain text to a server without TLS.
            def get() -> str:
                self._refuse_plain_text(client, server, tls)
                return secret

            return get

        await client.connect(
            server,
            **{name: only_encrypted(v) if name in SENT_AS_THEY_ARE else v for name, v in self._login.items()},
            tls=tls,
            inbox_prefix=self._inbox.encode(),
            connect_timeout=self._timeout,
            allow_reconnect=False,
            error_cb=self._on_error,
        )
        try:
            self._refuse_plain_text(client, server, tls)
        except NatsError:
            await client.close()
            raise
        self._client = client

    def _refuse_plain_text(self, client: Any, server: str, tls: ssl.SSLContext | None) -> None:
        if tls and not client._server_info.get("tls_required"):
            raise NatsError(
                f"the NATS server {server} offers no TLS, which the task asks for: configure tls on the server, "
                "or write nats:// and leave out tls_ca, tls_cert and tls_key"
            )

    def _refuse_certificate(self, server: str, error: Exception) -> NoReturn:
        raise NatsError(
            f"no TLS with the NATS server {server} as {self._who}: {error}. Check that tls_ca holds the authority of "
            "its certificate, that the certificate names the host in servers, and that tls_cert is one it accepts"
        ) from error

    async def _on_error(self, error: Exception) -> None:
        # A permission violation reaches only this callback; the request itself would just time out.
        self._reported.put_nowait(error)

    @property
    def version(self) -> str:
        """Of the server that answers."""
        return str(self._client._server_info.get("version", "of an unknown version"))

    def request(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Answer of `$JS.API.<subject>`. Raises ApiError for the server's refusals, else NatsError."""
        return self._loop.run_until_complete(self._request(f"$JS.API.{subject}", body))

    async def _request(self, subject: str, body: dict[str, Any] | None) -> dict[str, Any]:
        payload = json.dumps(body).encode() if body is not None else b""
        answer = asyncio.ensure_future(self._client.request(subject, payload, timeout=self._timeout))
        report = asyncio.ensure_future(self._reported.get())
        await asyncio.wait({answer, report}, return_when=asyncio.FIRST_COMPLETED)
        if report.done() and not answer.done():
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            problem = report.result()
            if "permissions violation" not in str(problem).lower():
                raise NatsError(f"the connection failed during {subject}: {problem}. Check that the server runs")
            raise NatsError(
                f"the NATS server refused {self._who} the request {subject}: {problem}. "
                f"Use a user that may publish to $JS.API.> and subscribe to {self._inbox}.>"
            )
        report.cancel()
        try:
            reply: dict[str, Any] = json.loads((await answer).data)
        except nats.errors.NoRespondersError as error:
            raise NatsError(
                f"no JetStream answers {subject} for {self._who}: enable JetStream on the server and in this account"
            ) from error
        except (nats.errors.TimeoutError, asyncio.TimeoutError) as error:
            raise NatsError(
                f"no answer to {subject} within {self._timeout:g} s: the server is overloaded or has no quorum"
            ) from error
        except nats.errors.Error as error:
            raise NatsError(f"the connection failed during {subject}: {error}") from error
        if "error" in reply:
            failure = reply["error"]
            code = failure.get("err_code", failure.get("code", 0))
            if code == JETSTREAM_NOT_ENABLED:
                raise NatsError(
                    f"the account of {self._who} has no JetStream: enable it there, or log in to another account"
                )
            raise ApiError(code, failure.get("description", "no reason given"))
        return reply

    def find(self, subject: str, missing: int) -> dict[str, Any] | None:
        """Answer of an INFO request, or None when the server says `missing` (its `err_code`)."""
        try:
            return self.request(subject)
        except ApiError as error:
            if error.code == missing:
                return None
            raise


# Values that the protocol carries to the server readably; keys only sign what it sends.
SENT_AS_THEY_ARE = ("user", "password", "token")
SECRETS = ("password", "token", "nkeys_seed_str")


def read_secret(option: str, path: str) -> str:
    """Content of a file of the target. Raises NatsError."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NatsError(f"cannot read {option} {path}: {error}") from error


def login(params: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Arguments for nats-py, and words for messages that say who logs in. Raises NatsError."""
    if params["creds_file"]:
        path = params["creds_file"]
        text = read_secret("creds_file", path)
        # nats-py reads a file without these for ever.
        for part in ("NATS USER JWT", "USER NKEY SEED"):
            if f"BEGIN {part}" not in text:
                raise NatsError(f"creds_file {path} has no {part}: write it with nsc generate creds")
        return {"user_credentials": path}, f"the user of creds_file {path}"
    if params["nkey_seed_file"]:
        path = params["nkey_seed_file"]
        seed = read_secret("nkey_seed_file", path)
        if not re.fullmatch(r"SU[A-Z2-7]{56}", seed):
            raise NatsError(f"nkey_seed_file {path} holds no seed of a user, which is 58 characters that begin with SU")
        return {"nkeys_seed_str": seed}, f"the user of nkey_seed_file {path}"
    if params["token"]:
        return {"token": params["token"]}, "the holder of the token"
    if not params["user"]:
        return {}, "no user"
    password = params["password"]
    if params["password_file"]:
        password = read_secret("password_file", params["password_file"])
    if password is None:
        raise NatsError(f"user {params['user']} has no password: give password or password_file")
    return {"user": params["user"], "password": password}, f"user {params['user']}"


def tls_context(params: dict[str, Any]) -> ssl.SSLContext | None:
    """What the connection is encrypted with, or None when the task says nothing about it. Raises NatsError."""
    if not (params["tls_ca"] or params["tls_cert"]):
        return None
    try:
        context = ssl.create_default_context(cafile=params["tls_ca"])
    except OSError as error:  # ssl.SSLError is one
        raise NatsError(f"cannot use tls_ca {params['tls_ca']}: {error}") from error
    if params["tls_cert"]:
        try:
            context.load_cert_chain(params["tls_cert"], params["tls_key"])
        except OSError as error:
            raise NatsError(f"cannot use tls_cert {params['tls_cert']} with its tls_key: {error}") from error
    return context


def run_nats_module(module: AnsibleModule, ensure: Callable[[JetStream, AnsibleModule], dict[str, Any]]) -> None:
    """Connect, run `ensure` and leave the module with its result or with the reason of the failure."""
    if NATS_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("nats-py"), exception=NATS_IMPORT_ERROR)
    signs = module.params["creds_file"] or module.params["nkey_seed_file"]
    if signs and importlib.util.find_spec("nkeys") is None:  # nats-py imports it when it signs
        module.fail_json(msg=missing_required_lib("nkeys", reason="for creds_file and nkey_seed_file"))
    try:
        session = JetStream(module.params)
        module.no_log_values.update(session.secrets)
        with session:
            result = ensure(session, module)
    except NatsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
