# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each way to log in, against a server that accepts no other; and what is said when it does not work."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nkeys
import pytest
from module_runner import CANARY, Nats, Runner
from nats_identities import certificate, new_key, operator_with_a_user, text_of
from nats_rig import running_nats

from tests.ports import free_port


@pytest.fixture
def nobody(runner: Runner) -> Runner:
    """nats_stream without server and login."""
    return replace(runner, module="nats_stream", defaults={"name": "S", "timeout": 5})


def secret(folder: Path, name: str, content: str) -> str:
    path = folder / name
    path.write_text(content + "\n")
    path.chmod(0o600)
    return str(path)


def manages(runner: Runner, server: Nats, login: dict[str, str], *secrets: str) -> None:
    """A stream comes and goes, and no secret is seen."""
    options = {"servers": [server.url], **login}
    play = runner(options, {**options, "state": "absent"}, verbosity="-vvv")
    assert [task.get("changed") for task in play.tasks] == [True, True], play.tasks
    for one in secrets:
        assert one not in play.output


def test_token(nobody: Runner, folder: Path) -> None:
    with running_nats(folder, f"authorization {{ token: {CANARY} }}") as server:
        manages(nobody, server, {"token": CANARY}, CANARY)
        wrong, none = nobody.failures({"servers": [server.url], "token": "wrong-token"}, {"servers": [server.url]})
    assert "refused the holder of the token" in wrong and "wrong-token" not in wrong
    assert "refused no user" in none


def test_nkey(nobody: Runner, folder: Path) -> None:
    public, seed = text_of(new_key(nkeys.PREFIX_BYTE_USER))
    _unused, other = text_of(new_key(nkeys.PREFIX_BYTE_USER))
    _unused, account = text_of(new_key(nkeys.PREFIX_BYTE_ACCOUNT))
    file, stranger, wrong_kind = (
        secret(folder, f"{name}.nk", one) for name, one in (("user", seed), ("stranger", other), ("account", account))
    )
    with running_nats(folder, f"authorization {{ users: [ {{nkey: {public}}} ] }}") as server:
        manages(nobody, server, {"nkey_seed_file": file}, seed)
        refused, kind = nobody.failures(
            *({"servers": [server.url], "nkey_seed_file": one} for one in (stranger, wrong_kind))
        )
    assert f"refused the user of nkey_seed_file {stranger}" in refused
    assert "begin with SU" in kind and account not in kind


def test_creds(nobody: Runner, folder: Path) -> None:
    settings, creds = operator_with_a_user()
    _unused, foreign = operator_with_a_user()
    seed = creds.split("SEED-----\n")[1].split("\n")[0]
    file, stranger = secret(folder, "user.creds", creds), secret(folder, "stranger.creds", foreign)
    with running_nats(folder, settings) as server:
        manages(nobody, server, {"creds_file": file}, seed)
        message = nobody.failure(servers=[server.url], creds_file=stranger)
    assert f"refused the user of creds_file {stranger}" in message


def test_tls(nobody: Runner, folder: Path) -> None:
    ours, ours_key = certificate(folder, "server")
    theirs, theirs_key = certificate(folder, "client")
    settings = f"""
      tls {{ cert_file: "{ours}", key_file: "{ours_key}", ca_file: "{theirs}", verify: true }}
      authorization {{ user: admin, password: {CANARY} }}
    """
    admin = {"user": "admin", "password": CANARY}
    client = {"tls_cert": str(theirs), "tls_key": str(theirs_key)}
    with running_nats(folder, settings) as server:
        login = {**admin, **client, "tls_ca": str(ours)}
        manages(nobody, server, login, CANARY)
        manages(nobody, Nats(server.port, f"tls://127.0.0.1:{server.port}"), login, CANARY)
        servers = {"servers": [server.url], **admin}
        unknown, wrong, none, half, other_name = nobody.failures(
            {**servers, **client},
            {**servers, **client, "tls_ca": str(theirs)},
            {**servers, "tls_ca": str(ours)},
            {**servers, "tls_ca": str(ours), "tls_cert": str(theirs)},
            {**servers, **client, "tls_ca": str(ours), "servers": [f"nats://localhost:{server.port}"]},
        )
    for message in (unknown, wrong):
        assert "CERTIFICATE_VERIFY_FAILED" in message and "Check that tls_ca" in message and "user admin" in message
    assert "no TLS with" in none and "tls_cert is one it accepts" in none
    assert "required together: tls_cert, tls_key" in half
    assert "localhost" in other_name and "names the host" in other_name


def test_a_password_is_not_sent_where_tls_is_missing(nobody: Runner, folder: Path, nats_server: Nats) -> None:
    ca, _unused = certificate(folder, "some")
    admin = {"user": "admin", "password": CANARY}
    by_ca, by_address = nobody.failures(
        {**admin, "servers": [nats_server.url], "tls_ca": str(ca)},
        {**admin, "servers": [f"tls://127.0.0.1:{nats_server.port}"]},
    )
    for message in (by_ca, by_address):
        assert "offers no TLS, which the task asks for" in message and "leave out tls_ca" in message


def test_a_server_without_jetstream(nobody: Runner, folder: Path) -> None:
    with running_nats(folder, "", jetstream=False) as server:
        message = nobody.failure(servers=[server.url])
    assert "enable JetStream on the server" in message and "no answer" not in message


def test_the_next_server_is_tried(stream: Runner, nats_server: Nats) -> None:
    dead = f"nats://127.0.0.1:{free_port()}"
    (result,) = stream({"name": "S", "state": "absent", "servers": [dead, nats_server.url]}).tasks
    assert result["changed"] is False and not result.get("failed"), result


def test_options_that_exclude_each_other(nobody: Runner) -> None:
    both, alone = nobody.failures({"user": "someone", "token": CANARY}, {"password": CANARY})
    assert "mutually exclusive" in both
    assert "missing parameter(s) required by 'password': user" in alone


def test_missing_nkeys_is_named_when_it_is_needed(
    nobody: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    spec = importlib.util.find_spec("nats")
    assert spec is not None and spec.submodule_search_locations
    bare = folder / "without-nkeys"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    (packages,) = (bare / "lib").glob("python*/site-packages")
    (packages / "nats").symlink_to(spec.submodule_search_locations[0])
    message = replace(nobody, python=str(bare / "bin" / "python")).failure(creds_file="/etc/nats/user.creds")
    assert "nkeys" in message and "creds_file" in message and str(bare) in message
