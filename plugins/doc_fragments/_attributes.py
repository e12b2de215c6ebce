# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

from __future__ import annotations


class ModuleDocFragment:
    # Each module adds its own details below the keys that it overrides.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Can run in check mode and says what would change without changing it.
  diff_mode:
    support: full
    description: Returns the state before and after when run in diff mode.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
  platform:
    support: full
    platforms: posix
    description: Target operating systems.
"""

    # In place of the above, for modules that only look at a Linux machine.
    READS = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Can run in check mode and says what would change without changing it.
    details:
      - Only reads, so that check mode makes no difference.
  diff_mode:
    support: none
    description: Changes nothing, so that there is no difference to show.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
  platform:
    support: full
    platforms: linux
    description: Target operating systems.
"""

    ACTIONGROUP_NATS = r"""
options: {}
attributes:
  action_group:
    support: full
    membership:
      - homelab.ai.nats
    description: Use C(group/homelab.ai.nats) in C(module_defaults) to set options for this module.
"""
