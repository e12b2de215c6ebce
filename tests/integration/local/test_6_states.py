# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack that does not get well, then stopped, started, absent, purged: each from where the last one left it."""

from __future__ import annotations

from pathlib import Path

from tests.integration.local.deployment import Deployment, answers

# Garage keeps what has less than 3 KiB in its database.
NOTE = b"# Kept\n\n" + b"The pump in the cellar is called Agathe.\n" * 100


def raw_objects(stack: Deployment) -> list[Path]:
    """Files that hold objects: in the directory, or where test_5_objects.py has moved them."""
    folders = (stack.data / "objects" / "raw-documents", stack.data / "garage" / "data")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.name != "garage-marker")


def test_a_service_that_does_not_get_well_shows_its_last_log_lines(stack: Deployment) -> None:
    model = Path("/var/tmp/hltest-not-a-model.gguf")
    model.write_text("This is a text, and no model.\n")
    model.chmod(0o644)
    try:
        run = stack.run("-e", "local_stack_wait_seconds=5", local_stack_chat={"gguf": str(model)}, expect=2)
    finally:
        model.unlink()
    assert "llama-chat is not well after 5 s (http://127.0.0.1:13082/health: " in run.output
    last = (stack.logs / "llama-chat.log").read_text(errors="replace").strip().splitlines()[-1]
    said = run.output.partition("llama-chat is not well")[2]
    assert "Its last log lines:" in said and str(model) in said, last


def test_stopped_leaves_no_process_and_started_finds_everything_again(stack: Deployment) -> None:
    document = stack.ingest("kept.md", NOTE)
    secrets = stack.secrets()
    assert stack.processes()
    run = stack.run(local_stack_state="stopped")
    assert run.changed_tasks() == ["Stop the supervisor and all that it runs"]
    assert stack.processes() == [] and not answers(stack.url(8080) + "/healthz")
    assert stack.run(local_stack_state="stopped").changed == 0
    # The model that the test before left in the configuration is foretold to go, too.
    foretold = stack.run("--check").changed_tasks()
    assert stack.processes() == [] and "Start the supervisor" in foretold

    assert stack.run().changed_tasks() == foretold

    assert answers(stack.url(8080) + "/readyz")
    assert stack.secrets() == secrets
    assert stack.api("GET", f"/v1/documents/{document}")["id"] == document


def test_absent_keeps_data_and_secrets(stack: Deployment) -> None:
    secrets, objects = stack.secrets(), raw_objects(stack)
    assert secrets and objects
    # As typed on a command line, where `false` is a word, and not empty.
    stack.run("-e", "local_stack_state=absent", "-e", "local_stack_purge_data=false")
    assert stack.processes() == []
    assert not stack.lib.exists() and not (Path("/run") / stack.name).exists()
    assert sorted(path.name for path in stack.config.iterdir()) == [".homelab-stack", "secrets"]
    # More may have come: in Garage what is made of a document lies among the originals.
    assert stack.secrets() == secrets and set(objects) <= set(raw_objects(stack))
    assert (stack.data / "postgres" / "PG_VERSION").is_file()
    assert stack.run(local_stack_state="absent").changed == 0


def test_a_directory_that_the_stack_did_not_make_is_not_purged(stack: Deployment, tmp_path: Path) -> None:
    mine = tmp_path / "photos"
    mine.mkdir()
    (mine / "cat.jpg").write_bytes(b"a cat")
    before = stack.listing()
    run = stack.run(local_stack_state="absent", local_stack_purge_data=True, local_stack_data_dir=str(mine), expect=2)
    assert f"{mine} is to be purged, but {stack.name} did not make it" in run.output
    assert (mine / "cat.jpg").exists() and stack.listing() == before


def test_purged_leaves_nothing_not_even_the_user(stack: Deployment) -> None:
    assert f"user {stack.name}" in stack.listing() and f"group {stack.name}" in stack.listing()
    stack.run("-e", "local_stack_state=absent", "-e", "local_stack_purge_data=true")
    assert stack.listing() == []
