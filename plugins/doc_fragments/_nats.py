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
      - Credentials belong into O(user) and O(password), or O(token), not into the address.
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
  token:
    description:
      - Token of a server that knows no users.
    type: str
  creds_file:
    description:
      - File on the target with the JWT and the seed of a user, as C(nsc generate creds) writes it.
      - Needs the Python library C(nkeys) on the target.
    type: path
  nkey_seed_file:
    description:
      - File on the target with the seed of a user that the server knows by public key. The seed begins with V(SU).
      - Needs the Python library C(nkeys) on the target.
    type: path
  tls_ca:
    description:
      - File on the target with the certificate authorities that the server's certificate is checked against.
      - With it, with O(tls_cert) or with a C(tls://) address, a server that offers no TLS is refused before a password
        or token is sent. Without any of them TLS is used where the server requires it, with the target's authorities.
    type: path
  tls_cert:
    description:
      - File on the target with the certificate, and what it was signed with, that is shown to the server.
    type: path
  tls_key:
    description:
      - File on the target with the private key of O(tls_cert), without passphrase.
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
  - nats-py >= 2.16 for the Python interpreter of the target
  - nkeys for O(creds_file) and O(nkey_seed_file)
"""
