# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  admin_url:
    description:
      - Address of Garage's admin API, C(api_bind_addr) in the section C([admin]) of C(garage.toml).
    type: str
    default: http://127.0.0.1:3903
  admin_token:
    description:
      - Token for the admin API. One of O(admin_token) and O(admin_token_file) is required.
      - A token that C(garage admin-token create) made needs the endpoints that the module calls in its scope.
    type: str
  admin_token_file:
    description:
      - File on the target whose content, without surrounding white space, is the token.
    type: path
  timeout:
    description:
      - Seconds to wait for the connection and for each answer.
    type: float
    default: 10
  validate_certs:
    description:
      - Whether the certificate of an C(https://) address is checked.
    type: bool
    default: true
  ca_path:
    description:
      - PEM file on the target with the certificate authorities that the server's certificate is checked against,
        instead of the system's.
    type: path
requirements:
  - Garage >= 2.0 with its admin API enabled
"""

    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    support: full
    membership:
      - homelab.ai.garage
    description: Use C(group/homelab.ai.garage) in C(module_defaults) to set options for this module.
"""
