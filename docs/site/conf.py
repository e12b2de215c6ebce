# SPDX-License-Identifier: GPL-3.0-or-later
"""The site that `./bootstrap docs` builds: the guides beside the reference of modules, filters and roles."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

project = "homelab.ai"
extensions = ["myst_parser", "sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
html_theme = "furo"
nitpicky = True
myst_heading_anchors = 3
# Links to files of the repository that are no pages.
nitpick_ignore_regex = [("myst", r"(\.\./)+(LICENSE|meta/.*|tests/.*|workers/.*|roles/.*)")]

# The few pages of Ansible's documentation that the reference names, so that nothing is fetched for a build.
_ANSIBLE = "https://docs.ansible.com/ansible/latest/"
_LABELS = {
    "common_return_values": "reference_appendices/common_return_values.html",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "ansible_collections.ansible.builtin.file_module": "collections/ansible/builtin/file_module.html",
    "ansible_collections.community.sops.sops_vars": "collections/community/sops/sops_vars.html",
}


def _inventory() -> str:
    """A file in Sphinx's format of objects.inv, version 2."""
    rows = "".join(f"{label} std:label -1 {page} {label}\n" for label, page in _LABELS.items())
    head = b"# Sphinx inventory version 2\n# Project: Ansible\n# Version: \n"
    head += b"# The remainder of this file is compressed using zlib.\n"
    path = Path(tempfile.mkdtemp()) / "objects.inv"
    path.write_bytes(head + zlib.compress(rows.encode()))
    return str(path)


intersphinx_mapping = {"ansible": (_ANSIBLE, _inventory())}
