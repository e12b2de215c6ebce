# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs from the inventory is foretold, brought back, and nothing else is touched."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import nats
import psycopg

from tests.integration.local.deployment import TUNING, Deployment, answers, wait_until

NOTE = b"# Found again\n\nThe boiler in the attic is called Bertha.\n"


def test_a_changed_setting_restarts_its_program_alone(stack: Deployment) -> None:
    before = stack.pids()
    settings = TUNING["settings"] | {"embed": {"batch": 7}}

    run = stack.run(homelab_tuning_overrides=TUNING | {"settings": settings})

    assert run.changed_tasks() == ["Render the programs of the workers", "Read the supervisor's configuration again"]
    assert 'EMBED_BATCH="7"' in run.output  # in the diff
    after = stack.pids()
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"embed"}
    stack.run()


def test_a_killed_supervisor_takes_all_with_it_and_the_next_run_starts_it(stack: Deployment) -> None:
    before = stack.pids()
    os.kill(stack.processes()[0], signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before.values()), "all programs have ended")

    assert stack.run().changed_tasks() == ["Start the supervisor"]

    assert stack.pids().keys() == before.keys() and answers(stack.url(8080) + "/readyz")


async def test_six_drifts_are_foretold_and_repaired(stack: Deployment) -> None:
    def served() -> bool:
        return bool(stack.api("GET", f"/v1/documents/{document}").get("state") == "graphed")

    document = stack.ingest("found-again.md", NOTE)
    wait_until(served, "the document is served")
    before = stack.pids()
    secret = stack.config / "services" / "chunk" / "NATS_URL"
    configuration = stack.config / "nats" / "nats.conf"
    wanted = configuration.read_text()
    # A stream edited,
    broker = await nats.connect(stack.nats_url("admin"), inbox_prefix=b"_INBOX_admin")
    stream = broker.jetstream()
    config = (await stream.stream_info("TELEMETRY")).config
    assert config.max_age
    await stream.update_stream(config.evolve(max_age=3_600))
    with psycopg.connect(stack.postgres_url("admin"), autocommit=True) as admin:
        admin.execute("DROP TABLE embeddings")  # a table dropped,
        admin.execute("REVOKE SELECT ON documents FROM homelab_graph")  # a role revoked,
    stack.supervise("stop", "delete")  # a process gone that does not come back by itself,
    configuration.write_text(wanted.replace("max_payload", "max_payload: 2MB #"))  # a configuration edited,
    secret.chmod(0o644)  # and a mode changed.
    assert configuration.read_text() != wanted

    foretold = stack.run("--check").changed_tasks()
    assert stack.pids().keys() == before.keys() - {"delete"} and secret.stat().st_mode & 0o777 == 0o644

    assert stack.run().changed_tasks() == foretold

    assert set(foretold) == {
        "Render the server's configuration",
        "Write each service's secrets",
        "Start the programs that do not run",
        "Restart the programs whose files were brought back",
        "Create the streams",
        "Bring the schema and the services' roles into the database",
    }
    assert configuration.read_text() == wanted
    assert secret.stat().st_mode & 0o777 == 0o600
    await broker.close()
    broker = await nats.connect(stack.nats_url("admin"), inbox_prefix=b"_INBOX_admin")
    assert (await broker.jetstream().stream_info("TELEMETRY")).config.max_age == config.max_age
    await broker.close()
    with psycopg.connect(stack.postgres_url("graph"), autocommit=True) as graph:
        assert graph.execute("SELECT count(*) FROM documents").fetchone()
    after = stack.pids()
    assert after.keys() == before.keys()
    # What may have read the edit is started anew, and what was gone.
    assert {name for name in after if after[name] != before[name]} == {"nats", "chunk", "delete"}
    # The dropped table's rows come from the stored document.
    wait_until(served, "the document is served again")
    found = stack.api("POST", "/v1/vector_stores/default/search", json={"query": "Who is Bertha?"})["data"]
    assert any("boiler" in str(hit) for hit in found)
    assert stack.run().changed_tasks() == []
