# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP server between the module and a real Garage, for what that Garage alone does not do."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.http_server import serving

# Status and body for a request's method and path; None hands the request on.
Script = Callable[[str, str], "tuple[int, bytes] | None"]


@contextmanager
def proxy(target: str, script: Script, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server that answers by `script`, and else with what `target` answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes | None) -> None:
            status, content = script(self.command, self.path) or self.ask(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def ask(self, body: bytes | None) -> tuple[int, bytes]:
            request = Request(target + self.path, body, {"Authorization": self.headers["Authorization"]})
            try:
                with urlopen(request, timeout=20) as answer:
                    return answer.status, answer.read()
            except HTTPError as error:
                return error.code, error.read()

        def log_message(self, *_args: object) -> None:
            """Test output stays ours."""

    with serving(Handler, tls) as url:
        yield url
