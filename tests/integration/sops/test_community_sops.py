# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file is read by the vars plugin of community.sops, which this collection itself does not need."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from tests.integration.sops.project import Project

PLAY = """\
- name: Use a secret
  hosts: all
  gather_facts: false
  tasks:
    - name: Compare
      ansible.builtin.assert:
        that: (homelab_secrets['nats-extract'] | hash('sha256')) == wanted
        quiet: true
"""


def collections() -> Path | None:
    """The collections path with community.sops."""
    paths = [Path(one) for one in os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":") if one]
    return next((one for one in paths if (one / "ansible_collections" / "community" / "sops").is_dir()), None)


def test_the_vars_plugin_reads_the_file(project: Project) -> None:
    path = collections()
    if path is None:
        pytest.skip("community.sops is not on ANSIBLE_COLLECTIONS_PATH: run './bootstrap collections'")
    project.environment["ANSIBLE_COLLECTIONS_PATH"] += f":{path}"
    (project.folder / "ansible.cfg").write_text(
        "[defaults]\nvars_plugins_enabled = host_group_vars,community.sops.sops\n"
    )
    project.succeed()
    # The role runs as well where the plugin has already read the file.
    assert project.succeed().changed == 0
    (project.folder / "play.yml").write_text(PLAY)
    value = project.secrets()["nats-extract"]
    project.succeed(wanted=sha256(value.encode()).hexdigest())
    assert project.run(wanted=sha256(b"another").hexdigest()).code != 0
    assert project.traces(value) == []
