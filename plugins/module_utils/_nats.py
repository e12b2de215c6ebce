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
import json
import re
import ssl
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable, NamedTuple
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import nats
    import nats.errors
except ImportError:
    NATS_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    NATS_IMPORT_ERROR = None

NATS_ARGUMENTS: dict[str, Any] = {
    "servers": {"type": "list", "elements": "str", "default": ["nats://127.0.0.1:4222"]},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "password_file": {"type": "path", "no_log": False},
    "tls_ca": {"type": "path"},
    "inbox_prefix": {"type": "str"},
    "timeout": {"type": "float", "default": 10},
}
NATS_MUTUALLY_EXCLUSIVE = [("password", "password_file")]

JETSTREAM_NOT_ENABLED = 10039

# Keys that the server adds to metadata by itself: never compared, always kept.
SERVER_METADATA = "_nats."

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}


class NatsError(Exception):
    """Anything that stops the module; the text is meant for the user."""


class ApiError(NatsError):
    """The server's own refusal. `code` is its `err_code`, for example 10059 for "stream not found"."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} (err_code {code})")
        self.code = code


def parse_duration(value: str | int | float) -> int:
    """Nanoseconds of `7d`, `1h30m`, `500ms` or a plain number of seconds. Raises ValueError."""
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return round(float(text) * _UNITS["s"])
    parts = re.findall(r"(\d+)(ns|us|ms|[smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write seconds or units such as 90s, 1h30m or 7d")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def format_duration(nanoseconds: int) -> str:
    """The shortest text that `parse_duration` reads back as the same number."""
    if nanoseconds == 0:
        return "0s"
    text = ""
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, nanoseconds = divmod(nanoseconds, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text


def _same(value: Any) -> Any:
    return value


def _unlimited(value: int) -> int:
    """0 and -1 both mean "no limit"; the server reports -1."""
    return -1 if value == 0 else value


def _own_metadata(value: dict[str, Any] | None) -> dict[str, str]:
    return {key: str(text) for key, text in (value or {}).items() if not key.startswith(SERVER_METADATA)}


class Field(NamedTuple):
    """One option and the field of the server's configuration that it sets.

    `read` turns the wire value into the one that is compared and shown in diffs, `write` turns it
    back, `wanted` turns the option into the compared one. `absent` is what a missing field means.
    """

    option: str
    absent: Any = None
    wanted: Callable[[Any], Any] = _same
    read: Callable[[Any], Any] = _same
    write: Callable[[Any], Any] = _same


def duration_field(option: str) -> Field:
    def wanted(value: Any) -> str:
        return format_duration(parse_duration(value))

    return Field(option, absent=0, wanted=wanted, read=format_duration, write=parse_duration)


def limit_field(option: str) -> Field:
    return Field(option, absent=-1, wanted=_unlimited, read=_unlimited)


def set_field(option: str) -> Field:
    """A list whose order means nothing."""
    return Field(option, absent=[], wanted=sorted, read=sorted)


def metadata_field() -> Field:
    return Field("metadata", absent={}, wanted=_own_metadata, read=_own_metadata)


def read_fields(fields: Iterable[Field], config: dict[str, Any]) -> dict[str, Any]:
    """What the server has, by option name."""
    return {field.option: field.read(config.get(field.option, field.absent)) for field in fields}


def wanted_fields(fields: Iterable[Field], params: dict[str, Any]) -> dict[str, Any]:
    """What the task asks for, by option name; options that are not set are left out. Raises NatsError."""
    result = {}
    for field in fields:
        value = params.get(field.option)
        if value is None:
            continue
        try:
            result[field.option] = field.wanted(value)
        except ValueError as error:
            raise NatsError(f"{field.option}: {error}") from error
    return result


def write_fields(fields: Iterable[Field], config: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The wire configuration with `wanted` laid over it; what we do not manage stays."""
    result = dict(config)
    for field in fields:
        if field.option not in wanted:
            continue
        result[field.option] = field.write(wanted[field.option])
        if field.option == "metadata":
            server = {k: v for k, v in (config.get("metadata") or {}).items() if k.startswith(SERVER_METADATA)}
            result["metadata"] = dict(result["metadata"], **server)
    return result


def refuse_change(what: str, option: str, before: dict[str, Any], after: dict[str, Any], fix: str) -> None:
    """Stop when `option` would change although the server cannot change it in place."""
    if before[option] != after[option]:
        raise NatsError(
            f"{what} has {option} {before[option]} and {after[option]} is wanted, "
            f"but the server cannot change {option} in place: {fix}"
        )


class JetStream:
    """A connection, used as a context manager. Its methods block and raise NatsError."""

    def __init__(self, params: dict[str, Any], password: str | None) -> None:
        self._user: str | None = params["user"]
        self._password = password
        self._servers: list[str] = params["servers"]
        self._tls_ca: str | None = params["tls_ca"]
        self._timeout: float = params["timeout"]
        self._inbox = params["inbox_prefix"] or (f"_INBOX_{self._user}" if self._user else "_INBOX")
        self._loop = asyncio.new_event_loop()
        self._reported: asyncio.Queue[Exception]
        self._client: Any = None
        self._who = f"user {self._user}" if self._user else "no user"

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
        self._reported = asyncio.Queue()  # here, because Python 3.9 binds it to the loop that runs
        failures = []
        for server in self._servers:
            if urlsplit(server).username is not None:
                raise NatsError("servers holds credentials: move them to the options user and password")
            try:
                self._client = await asyncio.wait_for(
                    nats.connect(
                        server,
                        user=self._user,
                        password=self._password,
                        tls=ssl.create_default_context(cafile=self._tls_ca) if self._tls_ca else None,
                        inbox_prefix=self._inbox.encode(),
                        connect_timeout=self._timeout,
                        allow_reconnect=False,
                        error_cb=self._on_error,
                    ),
                    timeout=self._timeout + 1,
                )
                return
            except asyncio.TimeoutError:
                failures.append(f"{server}: no answer within {self._timeout:g} s")
            except (OSError, nats.errors.Error) as error:
                if "authorization" in str(error).lower():
                    raise NatsError(
                        f"the NATS server {server} refused {self._who}: {error}. "
                        "Check user and password against the server's users, and that they belong to this server"
                    ) from error
                failures.append(f"{server}: {error}")
        raise NatsError(
            f"cannot reach a NATS server as {self._who} ({'; '.join(failures)}). "
            "Check that it is running and that servers names its address and port"
        )

    async def _on_error(self, error: Exception) -> None:
        # A permission violation reaches only this callback; the request itself would just time out.
        self._reported.put_nowait(error)

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
            raise NatsError(
                f"the NATS server refused {self._who} the request {subject}: {report.result()}. "
                "Use a user that may publish to $JS.API.> and subscribe to " + f"{self._inbox}.>"
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


def _read_password(module: AnsibleModule) -> str | None:
    path: str | None = module.params["password_file"]
    password: str | None = module.params["password"]
    if path is None:
        return password
    try:
        password = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NatsError(f"cannot read password_file {path}: {error.strerror}") from error
    module.no_log_values.add(password)
    return password


def run_nats_module(module: AnsibleModule, ensure: Callable[[JetStream, AnsibleModule], dict[str, Any]]) -> None:
    """Connect, run `ensure` and leave the module with its result or with the reason of the failure."""
    if NATS_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("nats-py"), exception=NATS_IMPORT_ERROR)
    try:
        with JetStream(module.params, _read_password(module)) as session:
            result = ensure(session, module)
    except NatsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def outcome(
    module: AnsibleModule, key: str, what: str, before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """The result of a module: `changed`, the new state under `key`, and the diff in diff mode."""
    result: dict[str, Any] = {"changed": before != after, key: after}
    if module._diff:
        result["diff"] = {"before": before, "after": after, "before_header": what, "after_header": what}
    return result
