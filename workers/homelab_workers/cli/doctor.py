# SPDX-License-Identifier: Apache-2.0
"""`homelab doctor`: what is reachable, what is not, and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import httpx

from .client import Client, error_message
from .config import Config
from .exits import DONE, FAILED, UNREACHABLE
from .output import Output

LEAST_FREE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    ok: bool
    detail: str
    fix: str = ""
    unreachable: bool = False


def doctor(query: Client, admin: Client, config: Config, output: Output) -> int:
    findings = [
        _versions(),
        *_service(query, "run the playbook homelab.ai.local, or set HOMELAB_URL"),
        _key(query, "GET", "/v1/models", "set HOMELAB_API_KEY_FILE, or api_key_file in", config),
        *_service(admin, "run the playbook homelab.ai.local, or set HOMELAB_ADMIN_URL"),
        _key(admin, "GET", "/admin/dlq?limit=1", "set HOMELAB_ADMIN_KEY_FILE, or admin_key_file in", config),
        _disk(Path.home()),
    ]
    if output.as_json:
        output.json({"checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            output.line(f"{'ok  ' if finding.ok else 'FAIL'} {finding.name}: {finding.detail}")
            if not finding.ok:
                output.line(f"     fix: {finding.fix}")
    if any(finding.unreachable for finding in findings):
        return UNREACHABLE
    return DONE if all(finding.ok for finding in findings) else FAILED


def _versions() -> Finding:
    names = ("homelab-workers", "httpx", "rich")
    found: list[str] = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} (from a checkout)")
    return Finding("versions", True, ", ".join(found))


def _service(client: Client, fix: str) -> list[Finding]:
    """One finding for the service and one for each thing that it says is wrong behind it."""
    response = _asked(client, lambda: client.http.get("/readyz", timeout=10.0))
    if isinstance(response, str):
        return [Finding(client.name, False, f"{client.base_url}: {response}", fix, unreachable=True)]
    try:
        state = response.json()
        problems: dict[str, str] = state.get("problems", {})
        status = str(state.get("status"))
    except (ValueError, AttributeError):
        detail = f"{client.base_url} answers, but is not {client.name}"
        return [Finding(client.name, False, detail, fix, unreachable=True)]
    found = [Finding(client.name, response.is_success, f"{client.base_url}: {status}", "see the failures below")]
    found += [
        Finding(f"{client.name} -> {name}", False, problem, f"start {name} again and look into its log")
        for name, problem in problems.items()
    ]
    return found


def _key(client: Client, method: str, path: str, fix: str, config: Config) -> Finding:
    name = f"{client.name} key"
    response = _asked(client, lambda: client.http.request(method, path, timeout=10.0))
    if isinstance(response, str):
        return Finding(name, False, f"not checked: {response}", f"make {client.name} reachable first")
    if response.status_code in (401, 403):
        return Finding(name, False, error_message(response), f"{fix} {config.file}")
    if not response.is_success:
        return Finding(name, False, f"HTTP {response.status_code}: {error_message(response)}", "see the service's log")
    return Finding(name, True, "accepted")


def _asked(client: Client, ask: Callable[[], httpx.Response]) -> httpx.Response | str:
    try:
        return ask()
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.1f} GiB free at {folder}"
    return Finding("disk", free >= LEAST_FREE_BYTES, detail, f"free at least {LEAST_FREE_BYTES >> 30} GiB")
