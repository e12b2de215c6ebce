# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may say what: users.conf, rendered by the role, against the matrix of docs/contracts.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles import nats_config, source

# Quotes, braces and a dollar sign: what a password may hold must not end its string.
PASSWORD = 'p"a}ss$word-of-'

OWN_EVENTS = {
    "extract": {"doc.ingest.extracted"},
    "chunk": {"doc.chunked"},
    "embed": {"embed.requested", "embed.completed"},
    "graph": {"kg.upsert.completed"},
    "delete": set(),
    "query": {"doc.ingest.requested", "doc.deleted"},
    "client": {"doc.ingest.requested"},
    # It republishes whatever was lost.
    "reconcile": {
        "doc.ingest.requested",
        "doc.ingest.extracted",
        "doc.chunked",
        "doc.deleted",
        "embed.requested",
        "embed.completed",
    },
}
# Durable: its service, and the subject that it delivers.
DURABLES = {
    "INGEST.extract": ("extract", "doc.ingest.requested"),
    "INGEST.chunk": ("chunk", "doc.ingest.extracted"),
    "INGEST.embed-plan": ("embed", "doc.chunked"),
    "INGEST.delete": ("delete", "doc.deleted"),
    "EMBED.embed": ("embed", "embed.requested"),
    "EMBED.graph": ("graph", "embed.completed"),
}
EVENTS = {
    "doc.ingest.requested",
    "doc.ingest.extracted",
    "doc.chunked",
    "doc.deleted",
    "embed.requested",
    "embed.completed",
    "kg.upsert.completed",
    "telemetry.spans",
}
STREAMS = ("INGEST", "EMBED", "KG", "TELEMETRY", "DLQ")
DLQ_KEEPER = {"$JS.API.STREAM.INFO.DLQ", "$JS.API.STREAM.MSG.GET.DLQ", "$JS.API.STREAM.MSG.DELETE.DLQ"}
USERS = ["admin", *OWN_EVENTS]


def of_durable(durable: str, filtered: str) -> set[str]:
    """What pulling, acknowledging (both forms) and giving up a message of a durable need."""
    return {
        f"$JS.API.CONSUMER.MSG.NEXT.{durable}",
        f"$JS.API.CONSUMER.INFO.{durable}",
        f"$JS.ACK.{durable}.1.2.3.4.5",
        f"$JS.ACK._.hash.{durable}.1.2.3.4.5.token",
        f"dlq.{filtered}",
    }


def expected(user: str) -> set[str]:
    subjects = set(OWN_EVENTS[user])
    for durable, (service, filtered) in DURABLES.items():
        subjects |= of_durable(durable, filtered) if service == user else set()
    if user == "reconcile":
        subjects |= DLQ_KEEPER | {f"$JS.API.CONSUMER.INFO.{durable}" for durable in DURABLES}
    return subjects


def stream_changes() -> set[str]:
    verbs = ("CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE", "MSG.DELETE", "MSG.GET", "INFO")
    return {f"$JS.API.STREAM.{verb}.{stream}" for verb in verbs for stream in (*STREAMS, "INTRUDER")}


def universe() -> set[str]:
    """Every subject that one of the users might be tempted by."""
    subjects = EVENTS | stream_changes() | {"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST"}
    subjects |= {f"_INBOX_{user}.x.y" for user in USERS} | {"_INBOX.x.y", "$SYS.REQ.SERVER.PING", "doc", "doc.x"}
    for durable, (_unused, filtered) in DURABLES.items():
        subjects |= of_durable(durable, filtered)
        subjects |= {
            f"$JS.API.CONSUMER.{verb}.{durable}" for verb in ("CREATE", "DURABLE.CREATE", "DELETE", "UNPIN", "PAUSE")
        }
    return subjects | {f"dlq.{event}" for event in EVENTS}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the role's entry point `config` fills, called as the local stack calls it."""
    folder = tmp_path_factory.mktemp("nats")
    link = folder / "collections" / "ansible_collections" / "homelab" / "ai"
    link.parent.mkdir(parents=True)
    link.symlink_to(source.ROOT)
    tuning = {"homelab_tuning": source.TUNING}
    call = {"name": "Render", "ansible.builtin.include_role": {"name": "homelab.ai.nats", "tasks_from": "config"}}
    given = {
        "nats_config_dir": str(folder),
        "nats_store_dir": str(folder / "store"),
        "nats_passwords": {user: PASSWORD + user for user in [*USERS, "sys"]},
    }
    play = {"hosts": "localhost", "gather_facts": False, "vars": tuning | given, "tasks": [call]}
    (folder / "play.yml").write_text(json.dumps([play]))
    env = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "LC_ALL": "C.UTF-8",
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml"]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def users(rendered: Path) -> dict[str, Any]:
    accounts = nats_config.parse((rendered / "users.conf").read_text())["accounts"]
    assert set(accounts) == {"SYS", "HOMELAB"}
    return {entry["user"]: entry for entry in accounts["HOMELAB"]["users"]}


def test_the_users_are_those_of_the_contract(users: dict[str, Any]) -> None:
    assert sorted(users) == sorted(USERS)
    assert [name for name, entry in users.items() if "permissions" not in entry] == ["admin"]


@pytest.mark.parametrize("user", OWN_EVENTS)
def test_a_user_may_publish_exactly_its_subjects(users: dict[str, Any], user: str) -> None:
    allowed = {subject for subject in universe() if nats_config.may(users[user], "publish", subject)}
    assert allowed == expected(user)


@pytest.mark.parametrize("user", OWN_EVENTS)
def test_nobody_but_admin_may_change_a_stream(users: dict[str, Any], user: str) -> None:
    kept = {"$JS.API.STREAM.MSG.DELETE.DLQ"} if user == "reconcile" else set()  # a replayed letter leaves the DLQ
    reading = {subject for subject in stream_changes() if ".INFO." in subject or ".MSG.GET." in subject}
    changes = stream_changes() - reading
    assert {subject for subject in changes if nats_config.may(users[user], "publish", subject)} == kept
    assert all(nats_config.may(users["admin"], "publish", subject) for subject in changes)


@pytest.mark.parametrize("user", OWN_EVENTS)
def test_a_user_hears_only_its_own_inbox(users: dict[str, Any], user: str) -> None:
    heard = {subject for subject in universe() if nats_config.may(users[user], "subscribe", subject)}
    assert heard == {f"_INBOX_{user}.x.y"} | ({"kg.upsert.completed"} if user == "client" else set())


def test_the_server_accepts_the_configuration(rendered: Path) -> None:
    server = Path(sys.executable).with_name("nats-server")
    done = subprocess.run(
        [server, "-t", "-c", rendered / "nats.conf"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (rendered / "users.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("pattern", "subject", "match"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("*.*.c", "a.b.c", True),
    ],
)
def test_the_evaluator_follows_the_rule_of_nats(pattern: str, subject: str, match: bool) -> None:
    assert nats_config.matches(pattern, subject) is match
