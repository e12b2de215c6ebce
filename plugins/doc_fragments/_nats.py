# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  servers:
    description:
      - Addresses of the NATS servers, tried in this order.
      - Credentials belong into O(user) and O(password), not into the address.
    type: list
    elements: str
    default: ["nats://127.0.0.1:4222"]
  user:
    description:
      - User of a NATS account with JetStream that may manage streams.
    type: str
  password:
    description:
      - Password of O(user).
    type: str
  password_file:
    description:
      - File on the target whose content, without surrounding white space, is the password of O(user).
    type: path
  tls_ca:
    description:
      - File on the target with the certificate authorities that the server's certificate is checked against.
      - Used with C(tls://) addresses and with servers that require TLS.
    type: path
  inbox_prefix:
    description:
      - Subject prefix for replies. The user must be allowed to subscribe to everything below it.
      - The default is V(_INBOX_) followed by O(user), or V(_INBOX) without a user.
    type: str
  timeout:
    description:
      - Seconds to wait for the connection and for each answer.
    type: float
    default: 10
requirements:
  - nats-py >= 2.9 for the Python interpreter of the target
"""
