#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pgvector_schema
short_description: Manage the schema of the document catalog in PostgreSQL with pgvector
description:
  - Creates the extension C(vector) or updates one that is too old, applies the migrations of the catalog that are
    missing, creates one role for each service with exactly the privileges that the service needs, and keeps the index
    of the vectors.
  - Tables and functions belong to the role C(homelab_owner), which cannot log in.
  - Privileges are repaired in both directions. What roles C(homelab_*) and C(PUBLIC) hold beyond the list on the
    catalog's tables, on schema C(public) and on the database is revoked, C(CREATE) and C(TEMPORARY) for C(PUBLIC) too.
  - Applied migrations are recorded in the table C(schema_migrations).
  - Indexes are built and dropped with C(CONCURRENTLY), so that searches and ingestion go on meanwhile. One of another
    method or with other options goes when the new one is there. What an interrupted build has left is removed. Other
    indexes of the methods HNSW and IVFFlat on the table C(embeddings) are removed too.
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
      - Dimension of the embedding model's vectors. O(on_dimension_change) says what a later change does.
    type: int
    required: true
  vector_type:
    description:
      - Type of the vector columns. A later change is treated as one of O(dimension).
    type: str
    choices:
      vector: 4 bytes for each number.
      halfvec: 2 bytes for each number.
    default: vector
  on_dimension_change:
    description:
      - What to do when O(dimension) or O(vector_type) is not what the catalog has. Stored vectors cannot be converted.
    type: str
    choices:
      refuse: Fail and change nothing.
      reembed: >-
        In one transaction, drop the index, change the columns, empty the vectors, and put every served version back to
        where it waits for its vectors. The reconciler then has all of them embedded again, by and by, and each document
        is searchable again when its vectors are complete. Give the services the new model first or at the same time.
    default: refuse
  extension_version_min:
    description:
      - Oldest release of pgvector to accept. An older extension is updated when the server offers this release or a
        newer one, and refused otherwise.
      - Releases before V(0.8.4) can corrupt HNSW indexes. V(0.8.0) is the oldest one that searches can use.
    type: str
    default: 0.8.4
  index:
    description:
      - Index of the served vectors, for the cosine distance that searches use.
      - Without this option, as with O(index.method=auto).
    type: dict
    suboptions:
      method:
        description:
          - Kind of index.
        type: str
        choices:
          auto: >-
            No index below 20,000 chunks, where comparing all vectors takes few milliseconds, misses none and lets rows
            load much faster. HNSW from there on, unless the vectors have too many dimensions for it. Decided when the
            module runs.
          hnsw: Graph index. Up to 2,000 dimensions of O(vector_type=vector) and 4,000 of O(vector_type=halfvec).
          ivfflat: Inverted lists, as many dimensions as with V(hnsw). Cannot be built while no chunk is served.
          none: No index. Each search compares all vectors.
        default: auto
      m:
        description:
          - Connections of a node, for HNSW, from 2 to 100.
        type: int
        default: 16
      ef_construction:
        description:
          - Candidates that are looked at for each connection, for HNSW, from 4 to 1000 and at least twice
            O(index.m).
        type: int
        default: 64
      lists:
        description:
          - Number of lists, for IVFFlat, from 1 to 32768.
          - Without it, a thousandth of the rows up to a million rows and their square root above, as they are when the
            index is built. An index that exists is then kept whatever its lists.
        type: int
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
- name: Generate the passwords of the services
  homelab.ai.secret_file:
    path: /etc/homelab/secrets
    names: [extract, embed]
  no_log: true
  register: postgres_passwords

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

- name: Have an HNSW index from the first row on
  homelab.ai.pgvector_schema:
    login_port: 25432
    login_password_file: /etc/homelab/secrets/postgres-admin
    dimension: 384
    extension_version_min: 0.8.5
    index:
      method: hnsw
      m: 24
      ef_construction: 128

- name: Change to a model with 1024 dimensions and have all documents embedded again
  homelab.ai.pgvector_schema:
    login_port: 25432
    login_password_file: /etc/homelab/secrets/postgres-admin
    dimension: 1024
    vector_type: halfvec
    on_dimension_change: reembed
"""

RETURN = r"""
statements:
  description:
    - What was run, or would be in check mode, in order and word for word, but for passwords, which are masked.
    - What concerns tables and functions is run as the role C(homelab_owner).
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
index_method:
  description: The index that O(index.method) stands for in this database.
  returned: success
  type: str
  sample: none
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_plan import MIN_PGVECTOR
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
    index = {
        "method": {"type": "str", "choices": ["auto", "hnsw", "ivfflat", "none"], "default": "auto"},
        "m": {"type": "int", "default": 16},
        "ef_construction": {"type": "int", "default": 64},
        "lists": {"type": "int"},
    }
    module = AnsibleModule(
        argument_spec=dict(
            POSTGRES_ARGUMENTS,
            dimension={"type": "int", "required": True},
            vector_type={"type": "str", "choices": ["vector", "halfvec"], "default": "vector"},
            on_dimension_change={"type": "str", "choices": ["refuse", "reembed"], "default": "refuse"},
            extension_version_min={"type": "str", "default": MIN_PGVECTOR},
            index={"type": "dict", "options": index},
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
