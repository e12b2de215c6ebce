# SPDX-License-Identifier: Apache-2.0
"""Where the services are and which keys open them: environment first, then the configuration file, then local."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .exits import USAGE, CliError

LOCAL_URL = "http://127.0.0.1:28080"
LOCAL_ADMIN_URL = "http://127.0.0.1:29107"


@dataclass(frozen=True, slots=True)
class Config:
    url: str
    admin_url: str
    api_key: str | None
    admin_key: str | None
    file: Path


def read_config(environment: Mapping[str, str]) -> Config:
    """Raises CliError naming the file or variable that is wrong."""
    home = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".config")
    file = Path(home) / "homelab" / "cli.json"
    stored = _stored(file)
    api_key = environment.get("HOMELAB_API_KEY") or _key(
        environment.get("HOMELAB_API_KEY_FILE") or stored.get("api_key_file")
    )
    admin_key = environment.get("HOMELAB_ADMIN_KEY") or _key(
        environment.get("HOMELAB_ADMIN_KEY_FILE") or stored.get("admin_key_file")
    )
    return Config(
        url=(environment.get("HOMELAB_URL") or stored.get("url") or LOCAL_URL).rstrip("/"),
        admin_url=(environment.get("HOMELAB_ADMIN_URL") or stored.get("admin_url") or LOCAL_ADMIN_URL).rstrip("/"),
        api_key=api_key,
        admin_key=admin_key,
        file=file,
    )


def _stored(file: Path) -> dict[str, str]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}", fix="make it readable for you", code=USAGE) from error
    try:
        stored = json.loads(text)
    except ValueError as error:
        raise CliError(f"{file} is not JSON: {error}", fix="correct or remove it", code=USAGE) from error
    if not isinstance(stored, dict) or not all(isinstance(value, str) for value in stored.values()):
        raise CliError(
            f"{file} must be a JSON object of strings",
            fix="use the names url, admin_url, api_key_file, admin_key_file",
            code=USAGE,
        )
    return stored


def _key(path: str | None) -> str | None:
    if not path:
        return None
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise CliError(
            f"key file {path}: {error.strerror}", fix="run as a user who may read it, or name another", code=USAGE
        ) from error
