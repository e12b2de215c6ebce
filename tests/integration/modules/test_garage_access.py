# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Garage modules say when the server is away, refuses, is too old or is not one."""

from __future__ import annotations

import json
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from garage_proxy import proxy
from garage_server import Node
from module_runner import CANARY, Runner

from tests.ports import free_port

OPTIONS = {
    "garage_key": {"name": "x"},
    "garage_bucket": {"name": "some-bucket"},
    "garage_layout": {"roles": [{"node": "abcd", "zone": "z", "gateway": True}]},
}


@pytest.fixture(params=sorted(OPTIONS))
def anyone(runner: Runner, garage: Node, request: pytest.FixtureRequest) -> Runner:
    """Each module with options that would do."""
    defaults = {"admin_url": garage.admin_url, "admin_token": garage.token, "timeout": 5, **OPTIONS[request.param]}
    return replace(runner, module=request.param, defaults=defaults)


@pytest.fixture
def key(runner: Runner, garage: Node) -> Runner:
    defaults = {"admin_url": garage.admin_url, "admin_token": garage.token, "name": "x", "state": "absent"}
    return replace(runner, module="garage_key", defaults=defaults)


def old_garage(_method: str, path: str) -> tuple[int, bytes]:
    """The answers of Garage 1.2 (src/api/admin/router_v1.rs, cluster.rs and error.rs of v1.2.0)."""
    if path == "/v1/status":
        return 200, json.dumps({"node": "ab" * 32, "garageVersion": "v1.2.0"}).encode()
    refusal = {
        "code": "InvalidRequest",
        "message": f"Bad request: Unknown API endpoint: GET {path}",
        "region": "garage",
    }
    return 400, json.dumps(refusal).encode()


def test_each_failure_has_its_own_message(anyone: Runner, garage: Node) -> None:
    port = free_port()
    with proxy(garage.admin_url, old_garage) as old_url:
        away, token, s3_port, old, in_url, no_url, no_file = anyone.failures(
            {"admin_url": f"http://127.0.0.1:{port}"},
            {"admin_token": "wrong-token"},
            {"admin_url": garage.s3_url},
            {"admin_url": old_url},
            {"admin_url": f"http://admin:{CANARY}@127.0.0.1:{port}"},
            {"admin_url": "127.0.0.1:3903"},
            {"admin_token": None, "admin_token_file": "/nonexistent/token"},
        )
    assert f"cannot reach Garage at http://127.0.0.1:{port}" in away and "admin_url names its address" in away
    assert "refused the admin token for" in token and "[admin]" in token and "wrong-token" not in token
    assert "not like Garage's admin API" in s3_port and "3903, not 3900" in s3_port
    assert f"Garage v1.2.0 at {old_url} does not know" in old and "upgrade it to Garage 2.0 or newer" in old
    assert "move them to the options" in in_url
    assert "admin_url is '127.0.0.1:3903' and must look like http://" in no_url
    assert "cannot read admin_token_file /nonexistent/token: No such file" in no_file


def test_a_token_without_the_scope_is_told_what_it_lacks(key: Runner, garage: Node) -> None:
    made = garage.call("CreateAdminToken", {"name": "narrow", "scope": ["ListKeys"], "neverExpires": True})
    narrow = replace(key, defaults={**key.defaults, "admin_token": made["secretToken"]})
    (absent,) = narrow({}).tasks
    assert absent["changed"] is False
    message = narrow.failure(state="present")
    assert "refused the admin token for CreateKey" in message and "needs CreateKey in its scope" in message


def test_certificates_are_checked(key: Runner, garage: Node, tmp_path: Path) -> None:
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=garage"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(private), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, private)
    with proxy(garage.admin_url, lambda *_unused: None, tls) as url:
        unknown, missing, trusted, unchecked = key(
            {"admin_url": url},
            {"admin_url": url, "ca_path": str(tmp_path / "none.pem")},
            {"admin_url": url, "ca_path": str(certificate)},
            {"admin_url": url, "validate_certs": False},
        ).tasks
    assert f"the certificate of {url} is not trusted" in unknown["msg"] and "ca_path" in unknown["msg"]
    assert f"cannot read ca_path {tmp_path / 'none.pem'}" in missing["msg"]
    assert not trusted.get("failed") and not unchecked.get("failed"), (trusted, unchecked)


def test_an_older_cluster_gets_rules_by_the_s3_api_only(runner: Runner, garage: Node) -> None:
    status = garage.call("GetClusterStatus")
    status["nodes"][0]["garageVersion"] = "v2.2.0"

    def older(_method: str, path: str) -> tuple[int, bytes] | None:
        return (200, json.dumps(status).encode()) if path == "/v2/GetClusterStatus" else None

    with proxy(garage.admin_url, older) as url:
        defaults = {"admin_url": url, "admin_token": garage.token, "name": "some-bucket"}
        bucket = replace(runner, module="garage_bucket", defaults=defaults)
        message = bucket.failure(lifecycle=[{"expiration_days": 90}])
    assert "runs Garage 2.2.0, whose admin API has no lifecycle rules" in message and "s3_url" in message
    assert garage.bucket("some-bucket") is None
