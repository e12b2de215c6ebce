# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The few calls of Garage's S3 API that modules make, signed with the standard library alone."""

from __future__ import annotations

import hashlib
import hmac
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.homelab.ai.plugins.module_utils._garage_http import Answer, GarageError, Http, check_url
from ansible_collections.homelab.ai.plugins.module_utils._garage_rules import S3_NAMESPACE, Kind, from_xml, to_xml

S3_ARGUMENTS: dict[str, Any] = {
    "s3_url": {"type": "str"},
    "s3_region": {"type": "str", "default": "garage"},
    "s3_access_key_id": {"type": "str", "no_log": False},
    "s3_secret_access_key": {"type": "str", "no_log": True},
}
S3_REQUIRED_TOGETHER = [("s3_url", "s3_access_key_id", "s3_secret_access_key")]


class S3DeniedError(GarageError):
    """The S3 API knows the key and does not let it do this."""


def signed_headers(
    key: tuple[str, str], region: str, method: str, url: str, body: bytes, now: datetime
) -> dict[str, str]:
    """Headers of Signature Version 4 for a request to `url`, whose path and query are already in canonical form.

    Source: AWS documentation, "Signature Version 4 signing process" (header-based, single chunk).
    """
    parts = urlsplit(url)
    stamp, content = now.strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(body).hexdigest()
    signed = {"host": parts.netloc, "x-amz-content-sha256": content, "x-amz-date": stamp}
    names = ";".join(signed)
    request = "\n".join(
        [method, parts.path, parts.query, *(f"{name}:{value}" for name, value in signed.items()), "", names, content]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    secret = f"AWS4{key[1]}".encode()
    for part in (*scope.split("/"), text):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    signature = f"Credential={key[0]}/{scope}, SignedHeaders={names}, Signature={secret.hex()}"
    return {**signed, "Authorization": f"AWS4-HMAC-SHA256 {signature}"}


class S3:
    """One bucket, as the key of the task sees it."""

    def __init__(self, http: Http, params: dict[str, Any], bucket: str) -> None:
        self._http = http
        self._url = check_url("s3_url", params["s3_url"])
        self._region: str = params["s3_region"]
        self._key: tuple[str, str] = (params["s3_access_key_id"], params["s3_secret_access_key"])
        self._bucket = bucket

    def read_rules(self, kind: Kind) -> list[dict[str, Any]]:
        answer = self._request("GET", "owner", query={kind.option: ""}, missing=(404,))
        return from_xml(kind, answer.body) if answer.status == 200 else []

    def write_rules(self, kind: Kind, wire: list[dict[str, Any]]) -> None:
        if wire:
            self._request("PUT", "owner", query={kind.option: ""}, body=to_xml(kind, wire))
        else:
            self._request("DELETE", "owner", query={kind.option: ""})

    def delete_objects(self) -> None:
        """Delete everything in the bucket."""
        # Always the first page: what it held is gone by the next turn.
        while names := list(self._page()):
            for name in names:
                self._request("DELETE", "read and write", name)

    def _page(self) -> Iterator[str]:
        # Names may hold what XML cannot, so the server is asked to quote them.
        answer = self._request("GET", "read and write", query={"encoding-type": "url", "list-type": "2"})
        try:
            page = ET.fromstring(answer.body)
        except ET.ParseError as error:
            raise GarageError(f"{self._url} answered a list of objects that cannot be read: {error}") from error
        for element in page.iter(f"{{{S3_NAMESPACE}}}Key"):
            yield unquote(element.text or "")

    def _request(
        self,
        method: str,
        permission: str,
        name: str = "",
        query: dict[str, str] | None = None,
        body: bytes = b"",
        missing: tuple[int, ...] = (),
    ) -> Answer:
        path = "/" + quote(f"{self._bucket}/{name}" if name else self._bucket, safe="/~")
        arguments = "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in (query or {}).items())
        url = f"{self._url}{path}" + (f"?{arguments}" if arguments else "")
        headers = signed_headers(self._key, self._region, method, url, body, datetime.now(timezone.utc))
        headers["Content-Type"] = "application/xml"
        answer = self._http.send("s3_url", method, url, headers, body or None)
        if 200 <= answer.status < 300 or answer.status in missing:
            return answer
        code, reason = _error(answer)
        what = f"{method} {path}{'?' + arguments if arguments else ''}"
        if answer.status == 403:
            raise S3DeniedError(
                f"Garage's S3 API refused key {self._key[0]} the request {what}: {reason}. Check s3_secret_access_key, "
                f"and that the key has the permission {permission} on bucket {self._bucket} (option keys)"
            )
        if code == "AuthorizationHeaderMalformed":
            raise GarageError(
                f"s3_region is {self._region!r} and Garage wants another: {reason}. "
                "Set it to s3_region in the section [s3_api] of garage.toml"
            )
        raise GarageError(f"Garage's S3 API at {self._url} refused {what} with status {answer.status}: {reason}")


def _error(answer: Answer) -> tuple[str, str]:
    """Code and message of S3's error document, or what stands in its place."""
    try:
        root = ET.fromstring(answer.body)
    except ET.ParseError:
        return "", answer.body.decode("utf-8", "replace")[:200] or "no reason given"
    return root.findtext("Code") or "", root.findtext("Message") or "no reason given"
