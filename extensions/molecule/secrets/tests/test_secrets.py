# SPDX-License-Identifier: GPL-3.0-or-later
"""The encrypted file, read by sops itself."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

SCRATCH = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "scratch"
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
FILE = SCRATCH / "inventory" / "group_vars" / "all" / "homelab_secrets.sops.yaml"


def sops(**environment: str) -> subprocess.CompletedProcess[str]:
    command = ["sops", "--decrypt", str(FILE)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def secrets() -> dict[str, str]:
    done = sops()
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = yaml.safe_load(done.stdout)["homelab_secrets"]
    return found


def names() -> set[str]:
    specs = yaml.safe_load((SCENARIO.parents[2] / "roles/secrets/meta/argument_specs.yml").read_text())
    return set(specs["argument_specs"]["main"]["options"]["secrets_names"]["default"])


def test_every_secret_is_there_and_of_its_own() -> None:
    found = secrets()
    assert set(found) == names() and len(set(found.values())) == len(found)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in found.values())


def test_the_file_holds_no_secret_and_opens_with_its_key_alone(tmp_path: Path) -> None:
    text = FILE.read_text()
    assert not [name for name, value in secrets().items() if value in text]
    other = tmp_path / "other.key"
    subprocess.run(["age-keygen", "-o", str(other)], check=True, capture_output=True)
    refused = sops(SOPS_AGE_KEY_FILE=str(other), HOME=str(tmp_path))
    assert refused.returncode != 0 and refused.stdout == ""


def test_one_secret_is_rotated_by_name() -> None:
    before = secrets()
    command = ["ansible-playbook", "-i", str(SCENARIO.parent / "inventory.yml"), str(SCENARIO / "converge.yml")]
    command += ["-e", '{"secrets_rotate": ["api-user"]}']
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    after = secrets()
    assert {name for name in before if before[name] != after[name]} == {"api-user"}
    assert after["api-user"] not in done.stdout + done.stderr
