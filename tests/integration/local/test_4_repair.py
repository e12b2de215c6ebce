# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs from the inventory is brought back, and nothing else is touched."""

from __future__ import annotations

from tests.integration.local.deployment import Deployment


def test_a_stopped_program_starts_and_a_changed_setting_restarts_its_program_alone(stack: Deployment) -> None:
    """One run for both: `graph` was stopped by hand, `embed` got another batch size."""
    before = stack.pids()
    stack.supervise("stop", "graph")
    assert "graph" not in stack.pids()
    # Once for the servers and once for the workers: a check run starts nothing in between.
    assert set(stack.run("--check").changed_tasks()) == {"Start the programs that do not run"}
    assert "graph" not in stack.pids()

    run = stack.run(homelab_tuning_overrides={"settings": {"embed": {"batch": 7}}})

    assert set(run.changed_tasks()) == {
        "Start the programs that do not run",
        "Render the programs of the workers",
        "Read the supervisor's configuration again",
    }
    assert 'EMBED_BATCH="7"' in run.output  # in the diff
    after = stack.pids()
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"embed", "graph"}
