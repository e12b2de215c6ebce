# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Host name, address or socket directory of the PostgreSQL server.
    type: str
    default: 127.0.0.1
  login_port:
    description:
      - Port of the PostgreSQL server.
    type: int
    default: 5432
  login_user:
    description:
      - Role to log in as. It must be able to create roles and extensions.
    type: str
    default: postgres
  login_password:
    description:
      - Password of O(login_user).
    type: str
  login_password_file:
    description:
      - File on the target whose content, without surrounding white space, is the password of O(login_user).
    type: path
  login_db:
    description:
      - Database to work in.
    type: str
    default: postgres
  ssl_mode:
    description:
      - How TLS is used, with libpq's names.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
  connect_timeout:
    description:
      - Seconds to wait for a connection.
    type: int
    default: 10
requirements:
  - psycopg >= 3.2 with libpq >= 16 (C(psycopg[binary])) for the Python interpreter of the target
"""
