# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What NATS users show at the door beside passwords: keys, JWTs and certificates, made as `nsc` and a CA would."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import nkeys


def new_key(prefix: int) -> nkeys.KeyPair:
    return nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), prefix)))


def text_of(key: nkeys.KeyPair) -> tuple[str, str]:
    """Public key and seed."""
    return key.public_key.decode(), bytes(key.seed).decode()


def jwt(issuer: nkeys.KeyPair, subject: str, claims: dict[str, Any]) -> str:
    """What `nsc` would sign: version 2 of the claims of nats-io/jwt."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    header = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {
        "jti": os.urandom(16).hex(),
        "iat": int(time.time()),
        "iss": issuer.public_key.decode(),
        "name": claims["type"],
        "sub": subject,
        "nats": {"version": 2, **claims},
    }
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, body))
    return f"{signed}.{encoded(issuer.sign(signed.encode()))}"


def operator_with_a_user() -> tuple[str, str]:
    """Settings of a server that trusts an operator, and the content of the creds file of one of its users."""
    operator, account, user = (
        new_key(kind) for kind in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER)
    )
    account_id, _unused = text_of(account)
    system_id, _unused = text_of(new_key(nkeys.PREFIX_BYTE_ACCOUNT))
    user_id, seed = text_of(user)
    unlimited = dict.fromkeys(["subs", "data", "payload", "imports", "exports", "conn", "leaf"], -1) | {
        "wildcards": True
    }
    storage = dict.fromkeys(["mem_storage", "disk_storage", "streams", "consumer"], -1)
    trusted = jwt(operator, operator.public_key.decode(), {"type": "operator"})
    system = jwt(operator, system_id, {"type": "account", "limits": unlimited})
    home = jwt(operator, account_id, {"type": "account", "limits": {**unlimited, **storage}})
    badge = jwt(account, user_id, {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1})
    settings = f"""
      operator: {trusted}
      system_account: {system_id}
      resolver: MEMORY
      resolver_preload: {{ {account_id}: {home}, {system_id}: {system} }}
    """
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{badge}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    return settings, creds


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", cert, "-keyout", key], check=True, capture_output=True)
    return cert, key
