# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Generated secrets in one file that sops encrypts.

Everything is done on copies first, in a private directory with the same paths below it: `.sops.yaml`, and the file
as ciphertext. Only what sops has encrypted and decrypted there again replaces the real files, in check mode nothing.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import ansible_collections.homelab.ai.plugins.module_utils._sops_config as sops_config
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.homelab.ai.plugins.module_utils._files import UnusableFileError, read_regular
from ansible_collections.homelab.ai.plugins.module_utils._secret_file import PLACEHOLDER, check_names, new_secret
from ansible_collections.homelab.ai.plugins.module_utils._sops import Sops, SopsError

VARIABLE = "homelab_secrets"
MODE = 0o600
SUFFIXES = (".sops.yaml", ".sops.yml")  # what community.sops' vars plugin takes


class Plan(NamedTuple):
    """Names of secrets by what has to be done."""

    created: list[str]
    rotated: list[str]


def make_plan(names: list[str], rotate: list[str], found: dict[str, Any]) -> Plan:
    """What is missing of `names` in `found`, and what is there and has to be replaced."""
    check_names(names)
    unknown = [name for name in rotate if name not in names]
    if unknown:
        raise SopsError(f"rotate holds {', '.join(unknown)}, and only one of names can be rotated: correct the name")
    spoiled = [
        name for name in names
        if name in found and name not in rotate and not (isinstance(found[name], str) and found[name].strip())
    ]  # fmt: skip
    if spoiled:
        raise SopsError(
            f"{VARIABLE} holds no text for {', '.join(spoiled)}, and what exists is never changed: rotate it"
        )
    created = [name for name in names if name not in found]
    return Plan(created, [name for name in names if name in rotate and name not in created])


def absolute(path: str) -> str:
    """As sops does it: `..` is dropped and links are kept."""
    return os.path.normpath(Path(path).absolute())


def find_config(file: str, fallback: str) -> str:
    """The `.sops.yaml` that sops itself takes for `file`, or the one to create in the directory `fallback`."""
    given = os.environ.get("SOPS_CONFIG")
    if given:
        return absolute(given)
    for folder in Path(file).parents:
        if (folder / ".sops.yaml").is_file():
            return str(folder / ".sops.yaml")
    if Path(fallback) not in Path(file).parents:
        raise SopsError(f"root is {fallback} and must be above path, {file}: sops looks for .sops.yaml upwards")
    return f"{fallback}/.sops.yaml"


def age_recipients(text: str) -> list[str]:
    """The age recipients that an encrypted file names, those of key groups included."""
    metadata = yaml_load(text)["sops"]
    groups = [metadata, *(metadata.get("key_groups") or [])]
    return sorted({entry["recipient"] for group in groups for entry in group.get("age") or []})


def in_clear(text: str, names: list[str]) -> list[str]:
    """Those of `names` whose value is not encrypted in the file. sops leaves an empty one as it is."""
    values = yaml_load(text).get(VARIABLE)
    held = values if isinstance(values, dict) else {}
    return [name for name in names if held.get(name) and not str(held[name]).startswith("ENC[")]


def read(path: str) -> str | None:
    """The text of a regular file, or None when there is none."""
    try:
        content = read_regular(path)
        return None if content is None else content.decode("utf-8")
    except UnusableFileError as error:
        raise SopsError(str(error)) from error
    except UnicodeDecodeError as error:
        raise SopsError(f"{path} is not UTF-8: restore it from your backup or version control") from error


class SecretsFile:
    """One file of secrets, its configuration, and the copies of both in `scratch`."""

    def __init__(self, module: AnsibleModule, sops: Sops, scratch: str) -> None:
        self.module = module
        self.sops = sops
        self.path = absolute(module.params["path"])
        if not self.path.endswith(SUFFIXES):
            raise SopsError(f"path is {self.path} and must end with {' or '.join(SUFFIXES)}: only those are decrypted")
        self.config = find_config(self.path, absolute(module.params["root"]))
        relative = os.path.relpath(self.path, Path(self.config).parent)
        if relative.startswith(".."):
            raise SopsError(f"SOPS_CONFIG is {self.config} and must lie above path, {self.path}: unset it")
        self.regex = sops_config.path_regex(relative)
        self.copy = str(Path(scratch) / relative)
        self.config_copy = str(Path(scratch) / ".sops.yaml")
        Path(self.copy).parent.mkdir(parents=True, exist_ok=True)
        self.text = read(self.path)
        self.config_file = str(Path(self.config).resolve())  # a link to it stays a link
        self.config_text = read(self.config_file)

    def content(self) -> dict[str, Any]:
        """The decrypted file; nothing for one that is not there yet."""
        if self.text is None:
            return {}
        tree = yaml_load(self.text)
        if not isinstance(tree, dict) or "sops" not in tree:
            raise SopsError(f"{self.path} is not encrypted: run sops encrypt --in-place on it, or move it away")
        content = self.sops.decrypt(self.text)
        if content is None:
            raise SopsError(f"No key at hand decrypts {self.path}. {self._keys(age_recipients(self.text))}")
        if not isinstance(content.get(VARIABLE, {}), dict):
            raise SopsError(f"{VARIABLE} in {self.path} is no mapping of names to secrets: correct it with sops edit")
        clear = in_clear(self.text, self.module.params["names"])
        if clear:
            raise SopsError(
                f"{', '.join(clear)} in {self.path} stand in clear text: others may know them. Remove them with "
                "sops edit, and run again for new ones"
            )
        return content

    def _keys(self, recipients: list[str]) -> str:
        own = self.sops.own_recipients()
        held = f"At hand: {', '.join(own)}." if own else self.sops.no_key() + "."
        return (
            f"It is encrypted for {', '.join(recipients) or 'no age key'}. {held} "
            "Set SOPS_AGE_KEY_FILE to the file with the private key of one of them"
        )

    def settle_config(self, names: list[str], wanted: list[str]) -> tuple[str, list[str]]:
        """The text of `.sops.yaml` and the age recipients of our file under it, as sops itself applies the rules."""
        before = self.config_text or ""
        probe = self._probe(before, names)
        missing = self._missing(probe, wanted)
        if not missing and probe is not None:
            return before, age_recipients(probe)
        try:
            own = any(rule.get("path_regex") == self.regex for rule in sops_config.load_rules(before))
            if probe is not None and not own:
                raise SopsError(self._shadowed(missing))
            after = sops_config.add_recipients(before, self.regex, missing)
        except sops_config.SopsConfigError as error:
            raise SopsError(f"cannot add to {self.config}: {error}") from error
        probe = self._probe(after, names)
        still = missing if probe is None else self._missing(probe, wanted)
        if probe is None or still:
            raise SopsError(self._shadowed(still))
        return after, age_recipients(probe)

    def _shadowed(self, missing: list[str]) -> str:
        return (
            f"A creation rule in {self.config} covers {self.path} and lacks {', '.join(missing)}: add them to that "
            f"rule, or put a rule with path_regex {self.regex} before it"
        )

    def _probe(self, config: str, names: list[str]) -> str | None:
        """What sops makes of a file like ours under `config`; None where no rule covers it."""
        Path(self.config_copy).write_text(config, encoding="utf-8")
        try:
            text = self.sops.encrypt({VARIABLE: dict.fromkeys(names, "probe")}, self.copy, self.config_copy)
        except SopsError as error:
            raise SopsError(f"sops does not take the rules of {self.config}: {error}: correct them") from error
        clear = [] if text is None else in_clear(text, names)
        if clear:
            raise SopsError(
                f"The creation rule in {self.config} that covers {self.path} leaves {', '.join(clear)} in clear text: "
                f"put a rule with path_regex {self.regex} before it, without encrypted_regex and the like"
            )
        return text

    def _missing(self, probe: str | None, wanted: list[str]) -> list[str]:
        """Recipients that the rule has to get. Nobody named any: it is enough that a key at hand reads the file."""
        present = [] if probe is None else age_recipients(probe)
        if wanted:
            return [one for one in wanted if one not in present]
        if probe is not None and self.sops.decrypt(probe) is not None:
            return []
        # A file that has lost its rule gets one for the same recipients, spare keys included.
        own = self.sops.own_recipients() if self.text is None else age_recipients(self.text)
        if not own:
            raise SopsError(self.sops.no_key())
        return [one for one in own if one not in present]

    def encrypted(self, content: dict[str, Any], new: dict[str, str], recipients: list[str]) -> str:
        """The file with the `new` secrets, for `recipients`. Nothing else in it changes."""
        expected = {**content, VARIABLE: {**content.get(VARIABLE, {}), **new}}
        if self.text is None:
            text = self.sops.encrypt(expected, self.copy, self.config_copy) or ""
        else:
            text = self._edited(self.text, content, new, recipients)
        back = self.sops.decrypt(text)
        if back is None:
            raise SopsError(f"No key at hand would decrypt {self.path}. {self._keys(recipients)}, or add your key")
        clear = in_clear(text, self.module.params["names"])
        if back != expected or clear:
            raise SopsError(
                f"sops has not encrypted {', '.join(clear) or VARIABLE} in {self.path}, so nothing was written: "
                "move the file away to have it made anew"
            )
        return text

    def _edited(self, text: str, content: dict[str, Any], new: dict[str, str], recipients: list[str]) -> str:
        copy = Path(self.copy)
        copy.write_text(text, encoding="utf-8")
        if VARIABLE in content:
            for name, value in new.items():
                self.sops.set_value(self.copy, [VARIABLE, name], value)
        elif new:
            self.sops.set_value(self.copy, [VARIABLE], new)
        if age_recipients(text) != recipients:
            self.sops.update_keys(self.copy, self.config_copy)
        return copy.read_text(encoding="utf-8")

    def mode(self) -> int:
        return MODE if self.text is None else stat.S_IMODE(os.lstat(self.path).st_mode)

    def write(self, path: str, text: str, mode: int) -> None:
        """Replace a file whole. What is written is ciphertext, or the configuration."""
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.module.tmpdir, delete=False, encoding="utf-8") as file:
                file.write(text)
            Path(file.name).chmod(mode)
            self.module.atomic_move(file.name, path)
            Path(path).chmod(mode)
        except OSError as error:
            raise SopsError(f"cannot write {path}: {error.strerror}") from error


def ensure_secrets(module: AnsibleModule) -> dict[str, Any]:
    """Generate what is missing, replace what shall be rotated, and return the module's result."""
    params = module.params
    names = params["names"]
    sops = Sops(module, params["age_key_file"])
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as scratch:
        file = SecretsFile(module, sops, scratch)
        content = file.content()
        found = content.get(VARIABLE, {})
        plan = make_plan(names, params["rotate"], found)
        new = {name: new_secret(params["length"]) for name in [*plan.created, *plan.rotated]}
        config, recipients = file.settle_config(names, params["age_recipients"])
        before = [] if file.text is None else age_recipients(file.text)
        text = file.encrypted(content, new, recipients) if new or before != recipients else file.text
        config_changed = config != (file.config_text or "")
        mode = file.mode()
        if not module.check_mode:
            if config_changed:
                config_mode = 0o644 if file.config_text is None else stat.S_IMODE(os.lstat(file.config_file).st_mode)
                file.write(file.config_file, config, config_mode)
            if text is not None and (text != file.text or mode != MODE):
                file.write(file.path, text, MODE)
    result: dict[str, Any] = {
        "changed": bool(new) or before != recipients or config_changed or mode != MODE,
        "path": file.path,
        "config": file.config,
        "config_changed": config_changed,
        "created": plan.created,
        "rotated": plan.rotated,
        "recipients": recipients,
    }
    if params["return_values"]:
        shown = dict.fromkeys(new, PLACEHOLDER) if module.check_mode else new
        result["secrets"] = {name: shown.get(name, found.get(name)) for name in names}
    if module._diff:
        result["diff"] = _diff(file, config, plan, before, recipients, mode)
    return result


def _diff(
    file: SecretsFile, config: str, plan: Plan, before: list[str], recipients: list[str], mode: int
) -> list[dict[str, Any]]:
    """Names and public keys; a value never comes near it."""
    kept = {name: "kept" for name in file.module.params["names"] if name not in plan.created}
    old = {"secrets": kept, "age_recipients": before, "mode": f"{mode:04o}"}
    changes = {**dict.fromkeys(plan.created, "created"), **dict.fromkeys(plan.rotated, "rotated")}
    new = {"secrets": {**kept, **changes}, "age_recipients": recipients, "mode": f"{MODE:04o}"}
    return [
        {"before_header": file.path, "after_header": file.path, "before": old, "after": new},
        {
            "before_header": file.config,
            "after_header": file.config,
            "before": file.config_text or "",
            "after": config,
        },
    ]
