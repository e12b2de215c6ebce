# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Garage's admin API v2 for modules: requests, with errors that say what went wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlencode

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._garage_http import Answer, GarageError, Http, check_url

GARAGE_ARGUMENTS: dict[str, Any] = {
    "admin_url": {"type": "str", "default": "http://127.0.0.1:3903"},
    "admin_token": {"type": "str", "no_log": True},
    "admin_token_file": {"type": "path", "no_log": False},
    "timeout": {"type": "float", "default": 10},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
}
GARAGE_MUTUALLY_EXCLUSIVE = [("admin_token", "admin_token_file")]
GARAGE_REQUIRED_ONE_OF = [("admin_token", "admin_token_file")]

NO_SUCH_KEY = "NoSuchAccessKey"
NO_SUCH_BUCKET = "NoSuchBucket"

# Decimal like on Garage's own command line, binary when said so.
_SIZES = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGTP", 1):
    _SIZES.update({_letter: 1000**_power, f"{_letter}B": 1000**_power, f"{_letter}IB": 1024**_power})


class ApiError(GarageError):
    """The server's own refusal. `code` is its name for it, for example `NoSuchBucket`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class LayoutNotReadyError(GarageError):
    """The cluster has no roles yet, so that it can hold neither keys nor buckets."""


def parse_size(value: str) -> int:
    """Bytes of `140G`, `100 GiB` or a plain number. Raises ValueError."""
    match = re.fullmatch(r"(\d+)\s*([A-Z]*)", value.strip().upper())
    if match is None or match[2] not in _SIZES:
        raise ValueError(f"{value!r} is not a size: write bytes or units such as 500MB, 140G or 100GiB")
    return int(match[1]) * _SIZES[match[2]]


class Admin:
    """Requests to the admin API. In check mode a cluster without roles reads as an empty one."""

    def __init__(self, params: dict[str, Any], token: str, check_mode: bool) -> None:
        self._url = check_url("admin_url", params["admin_url"])
        self._token = token
        self._check_mode = check_mode
        self.http = Http(params)

    def get(self, endpoint: str, **query: str) -> Any:
        """The answer; None for what a cluster without roles cannot have, in check mode only."""
        try:
            return self._request("GET", endpoint, None, query)
        except LayoutNotReadyError:
            # The task before this one may only have said that it would assign roles.
            if self._check_mode:
                return None
            raise

    def find(self, endpoint: str, missing: str, **query: str) -> Any:
        """Like `get`, and None when the server's refusal has the code `missing`."""
        try:
            return self.get(endpoint, **query)
        except ApiError as error:
            if error.code == missing:
                return None
            raise

    def post(self, endpoint: str, body: Any = None, **query: str) -> Any:
        return self._request("POST", endpoint, {} if body is None else body, query)

    def version(self) -> tuple[int, ...]:
        """The oldest version among the cluster's nodes that are up, for example (2, 5, 0)."""
        nodes = self.get("GetClusterStatus")["nodes"]
        found = [_version_numbers(node.get("garageVersion") or "") for node in nodes if node.get("isUp")]
        return min(filter(None, found), default=())

    def _send(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return self.http.send("admin_url", method, f"{self._url}{path}", headers, data)

    def _request(self, method: str, endpoint: str, body: Any, query: dict[str, str]) -> Any:
        path = f"/v2/{endpoint}" + (f"?{urlencode(query)}" if query else "")
        answer = self._send(method, path, body)
        try:
            content = json.loads(answer.body) if answer.body else None
        except ValueError:
            content = answer.body
        if answer.status in (401, 403):
            raise GarageError(
                f"Garage at {self._url} refused the admin token for {endpoint}: {_reason(content)}. Check it against "
                f"admin_token in the section [admin] of garage.toml. A token made with 'garage admin-token create' "
                f"must not have expired and needs {endpoint} in its scope"
            )
        if 200 <= answer.status < 300 and not isinstance(content, bytes):
            return content
        reason = _reason(content)
        if "Unknown API endpoint" in reason:
            raise GarageError(
                f"{self._found_version()} at {self._url} does not know {endpoint} of the admin API v2: "
                "upgrade it to Garage 2.0 or newer"
            )
        if "Layout not ready" in reason:
            raise LayoutNotReadyError(
                f"Garage at {self._url} has no layout yet: give its nodes roles first, with homelab.ai.garage_layout"
            )
        if not isinstance(content, dict) or "code" not in content:
            raise GarageError(
                f"{self._url} answered {endpoint} with status {answer.status} and not like Garage's admin API: {reason}"
                ". Check that admin_url names the address in the section [admin] of garage.toml (port 3903, not 3900)"
            )
        raise ApiError(content["code"], reason)

    def _found_version(self) -> str:
        """What an older Garage says of itself. Up to 2.0 its status was at /v1/status."""
        answer = self._send("GET", "/v1/status")
        try:
            return f"Garage {json.loads(answer.body)['garageVersion']}"
        except (ValueError, KeyError, TypeError):
            return "the server"


def _version_numbers(text: str) -> tuple[int, ...]:
    """(2, 5, 0) of `cargo:2.5.0` or `v2.5.0`; () when there is none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number or 0) for number in match.groups()) if match else ()


def _reason(content: Any) -> str:
    if isinstance(content, dict):
        return str(content.get("message", content))
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content or "no reason given")
    return text[:200]  # a web page of something else


def _read_token(module: AnsibleModule) -> str:
    path: str | None = module.params["admin_token_file"]
    token: str = module.params["admin_token"] or ""
    if path is not None:
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise GarageError(f"cannot read admin_token_file {path}: {error.strerror}") from error
        module.no_log_values.add(token)
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        where = f"admin_token_file {path}" if path else "admin_token"
        raise GarageError(f"{where} is empty or holds blanks, line ends or other than ASCII: put the bare token there")
    return token


def run_garage_module(module: AnsibleModule, ensure: Callable[[Admin, AnsibleModule], dict[str, Any]]) -> None:
    """Run `ensure` and leave the module with its result or with the reason of the failure."""
    try:
        result = ensure(Admin(module.params, _read_token(module), module.check_mode), module)
    except GarageError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
