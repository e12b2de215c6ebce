# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform under systemd: enabled, running as its user, answering, holding a document."""

from __future__ import annotations

import json
import re
from typing import Any

testinfra_hosts = ["podman://homelab-molecule"]

NOTE = "# Cellar\n\nThe pump in the cellar is called Agathe and was bought in 2019.\n"
SERVERS = {"nats", "postgres", "oxigraph", "litellm", "llama-chat", "llama-embed"}
WORKERS = {"extract", "chunk", "embed", "graph", "delete", "reconcile", "query"}


def test_systemd_runs_it_and_starts_it_after_a_reboot(host: Any) -> None:
    service = host.service("homelab-local")
    assert service.is_enabled and service.is_running
    assert host.check_output("systemctl --failed --no-legend") == ""
    assert "Debian" in host.check_output("cat /etc/os-release")


def test_all_programs_run_below_the_unit_and_none_as_root(host: Any) -> None:
    listing = host.check_output("/opt/homelab/venv/bin/supervisorctl -c /etc/homelab/supervisord.conf status")
    programs = {line.split()[0]: line.split()[1] for line in listing.splitlines()}
    assert set(programs.values()) == {"RUNNING"}
    # A large machine gets several processes of one worker: extract, extract-2.
    assert {re.sub(r"-\d+$", "", program) for program in programs} == SERVERS | WORKERS
    cgroup = host.check_output("systemctl show --property=ControlGroup --value homelab-local")
    processes = host.check_output(f"ps -eo user:20,cgroup:200,args --no-headers | grep -F '{cgroup}' | grep -v grep")
    users = {line.split()[0] for line in processes.splitlines()}
    assert users == {"homelab"} and len(processes.splitlines()) > len(programs)


def test_secrets_and_sockets_are_closed_to_others(host: Any) -> None:
    for path in ("/etc/homelab/secrets/postgres-admin", "/etc/homelab/services/query/NATS_URL"):
        assert host.file(path).mode == 0o600 and host.file(path).user == "homelab"
    assert host.file("/run/homelab").mode == 0o700
    outsider = host.run("setpriv --reuid nobody --regid nogroup --clear-groups cat /etc/homelab/secrets/postgres-admin")
    assert outsider.rc != 0 and "Permission denied" in outsider.stderr


def test_it_cannot_write_outside_its_directories(host: Any) -> None:
    process = host.check_output("systemctl show --property=MainPID --value homelab-local")
    # Root within the unit's mounts: refused because of them, not because of a file's mode.
    within = f"nsenter --target {process} --mount touch"
    assert host.run(f"{within} /var/lib/homelab/work/probe && rm /var/lib/homelab/work/probe").rc == 0
    refused = host.run(f"{within} /opt/homelab/probe")
    assert refused.rc != 0 and "Read-only file system" in refused.stderr


def test_a_document_is_ingested_and_found(host: Any) -> None:
    host.check_output(f"printf %s '{NOTE}' > /root/cellar.md")
    assert "1 done" in host.check_output("homelab ingest /root/cellar.md")
    found = json.loads(host.check_output("homelab search 'What is the pump called?' --json"))["data"]
    assert "Agathe" in found[0]["content"][0]["text"]
