# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What a module that keeps one object in its state returns."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule


def outcome(
    module: AnsibleModule, key: str, what: str, before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """The result of a module: `changed`, the new state under `key`, and the diff in diff mode."""
    result: dict[str, Any] = {"changed": before != after, key: after}
    if module._diff:
        result["diff"] = {"before": before, "after": after, "before_header": what, "after_header": what}
    return result
