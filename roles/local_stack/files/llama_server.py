# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp's own HTTP server from the xllamacpp wheel: the local stack's llama-server."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

import xllamacpp


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ctx", type=int, default=4096, help="tokens, split over the slots")
    parser.add_argument("--parallel", type=int, default=1, help="slots")
    parser.add_argument("--batch", type=int, default=2048, help="tokens computed at once")
    parser.add_argument("--embedding", action="store_true")
    parser.add_argument("--api-key-file", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    keys = options.api_key_file.read_text(encoding="utf-8").split()
    if not keys:
        sys.exit(f"{options.api_key_file} is empty: the server does not start without a key")
    if not options.model.is_file():
        sys.exit(f"{options.model} is not a file: set local_stack_chat or local_stack_embed to a GGUF that exists")
    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias}
    params.hostnames = [options.host]
    params.port = options.port
    params.api_keys = keys
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.n_parallel = options.parallel
    params.n_ctx = options.ctx
    params.n_batch = params.n_ubatch = options.batch
    params.endpoint_metrics = True
    # Closed: other callers' prompts (slots), the web page, foreign web origins, and a prompt cache of up to 8 GiB.
    params.endpoint_slots = False
    params.ui = False
    params.cors_origins = ""
    params.cors_credentials = False
    params.cache_ram_mib = 256
    params.offline = True
    if options.embedding:
        params.embedding = True
        params.embd_normalize = 2
        # A text is computed in one pass: a smaller batch would answer 500 to what still fits the context.
        params.n_batch = params.n_ubatch = max(options.batch, options.ctx // options.parallel)
    else:
        params.use_jinja = True
    # The server's threads are C++: they end with the process, so the signal ends the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_unused: os._exit(0))
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(f"llama.cpp does not serve {options.model} on {options.host}:{options.port}: {error}")
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()
