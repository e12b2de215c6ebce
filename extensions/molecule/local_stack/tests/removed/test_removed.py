# SPDX-License-Identifier: GPL-3.0-or-later
"""After local_stack_state=absent with local_stack_purge_data."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["podman://homelab-molecule"]


def test_nothing_is_left(host: Any) -> None:
    left = "find / -xdev -name '*homelab*' -not -path '/proc/*' -not -path '/etc/host*' -not -path '/root/.cache/*'"
    # The directory of the command's configuration may hold the user's own; the stack's file is gone.
    assert host.check_output(left) == "/root/.config/homelab"
    assert host.file("/root/.config/homelab").listdir() == []
    assert host.run("getent passwd homelab").rc == 2
    assert host.check_output("ss -Hltn 'sport >= :20000'") == ""


def test_systemd_has_forgotten_it(host: Any) -> None:
    assert host.check_output("systemctl show --property=LoadState --value homelab-local") == "not-found"
    assert host.check_output("systemctl --failed --no-legend") == ""
