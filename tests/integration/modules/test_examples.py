# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documented examples of pgvector_schema and secret_file, run as they stand but for addresses and paths."""

from __future__ import annotations

from pathlib import Path

from examples import run_examples
from module_runner import CANARY, Postgres, Runner
from pgvector_rig import vectors


def test_pgvector_schema(schema: Runner, bare_postgres: Postgres, database: str, tmp_path: Path) -> None:
    password = tmp_path / "postgres-admin"
    password.write_text(CANARY)
    login = {"login_port": bare_postgres.port, "login_password_file": str(password), "login_db": database}
    results = run_examples(schema, "pgvector_schema", login, {"homelab.ai.secret_file": {"path": str(tmp_path)}})
    assert [result["changed"] for result in results.values()] == [True] * 3
    assert [result["index_method"] for result in results.values()] == ["none", "hnsw", "none"]
    secret = (tmp_path / "embed").read_text()
    bare_postgres.connect("homelab_embed", secret, database).close()
    assert vectors(bare_postgres, database)["columns"][1][:2] == ("embeddings", "halfvec(1024)")


def test_secret_file(runner: Runner, tmp_path: Path) -> None:
    template, rendered = tmp_path / "users.conf.j2", tmp_path / "users.conf"
    template.write_text("extract: {{ nats_passwords.secrets['nats-extract'] }}")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    # The user of the example is not on every machine.
    overrides = {"path": str(secrets), "owner": None}
    others = {"ansible.builtin.template": {"src": str(template), "dest": str(rendered)}}
    generated, written = run_examples(runner, "secret_file", overrides, others).values()
    password = (secrets / "nats-extract").read_text()
    assert generated["created"] == ["nats-admin", "nats-extract"] and written["written"] == ["nats-url-extract"]
    assert (secrets / "nats-url-extract").read_text() == f"nats://extract:{password}@127.0.0.1:4222"
    assert rendered.read_text() == f"extract: {password}"
