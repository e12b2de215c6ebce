# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""One HTTP request to Garage, with errors that say why there was no answer."""

from __future__ import annotations

import http.client
import ssl
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ansible.module_utils.urls import ConnectionError as UrlConnectionError
from ansible.module_utils.urls import SSLValidationError, open_url


class GarageError(Exception):
    """Anything that stops the module; the text is meant for the user."""


class Answer(NamedTuple):
    status: int
    body: bytes


def check_url(option: str, url: str) -> str:
    """`url` without a slash at its end. Raises GarageError unless it is a plain http or https address."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise GarageError(f"{option} holds credentials: move them to the options for them")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise GarageError(f"{option} is {url!r} and must look like http://127.0.0.1:3903 or https://garage.example.org")
    return url.rstrip("/")


class Http:
    """How to connect, from the options that all requests of a task share."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._timeout: float = params["timeout"]
        self._validate: bool = params["validate_certs"]
        self._ca_path: str | None = params["ca_path"]

    def send(self, option: str, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        """The server's answer, whatever its status. `option` is the one that holds the address."""
        place = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        try:
            with open_url(
                url,
                method=method,
                data=body,
                headers=headers,
                timeout=self._timeout,
                validate_certs=self._validate,
                ca_path=self._ca_path,
                http_agent="homelab.ai",
                # Garage never redirects, and neither the token nor a signature may follow one elsewhere.
                follow_redirects="no",
                # A ~/.netrc would replace our Authorization header.
                use_netrc=False,
            ) as response:
                return Answer(response.status, response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, error.read())
        except (URLError, OSError, http.client.HTTPException, UrlConnectionError, SSLValidationError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, (ssl.SSLCertVerificationError, SSLValidationError)):
                raise GarageError(
                    f"the certificate of {place} is not trusted: {reason}. "
                    "Set ca_path to the PEM file of the authority that signed it"
                ) from error
            if isinstance(reason, FileNotFoundError) and self._ca_path:
                raise GarageError(f"cannot read ca_path {self._ca_path}: {reason.strerror}") from error
            raise GarageError(
                f"cannot reach Garage at {place}: {reason or type(error).__name__}. "
                f"Check that it is running and that {option} names its address and port"
            ) from error
