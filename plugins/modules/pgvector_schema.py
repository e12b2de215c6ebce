#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pgvector_schema
short_description: Manage the schema of the document catalog in PostgreSQL with pgvector
description:
  - Creates the extension C(vector), applies the migrations of the catalog that are missing, and creates one role for
    each service with exactly the privileges that the service needs.
  - Tables and functions belong to the role C(homelab_owner), which cannot log in.
  - Privileges are repaired in both directions. What roles C(homelab_*) and C(PUBLIC) hold beyond the list on the
    catalog's tables, on schema C(public) and on the database is revoked, C(CREATE) and C(TEMPORARY) for C(PUBLIC) too.
  - Applied migrations are recorded in the table C(schema_migrations).
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
  - homelab.ai._postgres
attributes:
  check_mode:
    details:
      - The database is opened read-only and RV(statements) lists what would run, also on an empty database.
options:
  dimension:
    description:
      - Dimension of the embedding model's vectors. Cannot be changed later.
    type: int
    required: true
  vector_type:
    description:
      - Type of the vector columns. Cannot be changed later.
    type: str
    choices:
      vector: 4 bytes for each number.
      halfvec: 2 bytes for each number.
    default: vector
  index:
    description:
      - Index of the vectors.
    type: str
    choices:
      exact: No index. Each search compares all vectors, which finds the true neighbours.
    default: exact
  roles:
    description:
      - Services that get a role C(homelab_<service>).
      - Roles of services that are not listed are neither created nor removed.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description:
          - Name of the service.
        type: str
        required: true
        choices: [chunk, delete, embed, enrich, extract, graph, query, reconcile]
      password:
        description:
          - Password of the role. It is set when the role cannot log in with it, and reaches the server as a SCRAM
            verifier only.
        type: str
        required: true
"""

EXAMPLES = r"""
- name: Prepare the catalog for a model with 384 dimensions
  homelab.ai.pgvector_schema:
    login_port: 25432
    login_password_file: /etc/homelab/secrets/postgres-admin
    dimension: 384
    roles:
      - service: extract
        password: "{{ postgres_passwords.secrets['extract'] }}"
      - service: embed
        password: "{{ postgres_passwords.secrets['embed'] }}"
"""

RETURN = r"""
statements:
  description: What was run, or would be in check mode, in order. Passwords are masked and migrations only named.
  returned: success
  type: list
  elements: str
  sample: ['GRANT SELECT ON TABLE public."documents" TO "homelab_graph"']
migrations:
  description: The migrations among them.
  returned: success
  type: list
  elements: dict
  contains:
    version:
      description: Number of the migration.
      type: int
    name:
      description: What it brings.
      type: str
  sample: [{"version": 1, "name": "documents, versions, chunks and embeddings"}]
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_schema import ensure_schema
from ansible_collections.homelab.ai.plugins.module_utils._postgres import (
    POSTGRES_ARGUMENTS,
    POSTGRES_MUTUALLY_EXCLUSIVE,
    PSYCOPG_IMPORT_ERROR,
    PostgresError,
)

SERVICES = ["chunk", "delete", "embed", "enrich", "extract", "graph", "query", "reconcile"]


def main() -> None:
    role = {
        "service": {"type": "str", "required": True, "choices": SERVICES},
        "password": {"type": "str", "required": True, "no_log": True},
    }
    module = AnsibleModule(
        argument_spec=dict(
            POSTGRES_ARGUMENTS,
            dimension={"type": "int", "required": True},
            vector_type={"type": "str", "choices": ["vector", "halfvec"], "default": "vector"},
            index={"type": "str", "choices": ["exact"], "default": "exact"},
            roles={"type": "list", "elements": "dict", "default": [], "options": role},
        ),
        mutually_exclusive=POSTGRES_MUTUALLY_EXCLUSIVE,
        supports_check_mode=True,
    )
    if PSYCOPG_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("psycopg[binary]"), exception=PSYCOPG_IMPORT_ERROR)
    try:
        result = ensure_schema(module)
    except PostgresError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
