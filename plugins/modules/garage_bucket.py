#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: garage_bucket
short_description: Manage buckets of a Garage object store
description:
  - Creates, updates and deletes buckets through Garage's admin API, with their aliases, quotas, rules and the
    permissions that keys have on them.
  - Options that are not set are left as they are.
  - O(lifecycle) and O(cors) go through the S3 API when O(s3_url) is set, with a key that owns the bucket, and
    through the admin API otherwise, which needs Garage 2.3.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
  - homelab.ai._garage.actiongroup
  - homelab.ai._garage
attributes:
  check_mode:
    details:
      - A key that does not exist yet is taken for one that a task before would create.
options:
  name:
    description:
      - Global alias that names the bucket.
    type: str
    required: true
  state:
    description:
      - Whether the bucket exists.
      - V(absent) deletes the bucket with all its aliases. It fails when the bucket holds objects, unless O(force=true).
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Whether O(state=absent) may delete a bucket that holds objects.
      - Garage itself deletes empty buckets only. The module therefore deletes the objects first, one after the other
        through the S3 API, so that O(s3_url) and a key that may read and write the bucket are needed. They cannot be
        brought back.
    type: bool
    default: false
  aliases:
    description:
      - All further global aliases of the bucket. Others than these and O(name) are removed from it.
    type: list
    elements: str
  max_size:
    description:
      - Quota of the bucket's size, in bytes or with units such as V(500MB), V(140G) or V(100GiB). V(-1) is no limit.
    type: str
  max_objects:
    description:
      - Quota of the number of objects. V(-1) is no limit.
    type: int
  website:
    description:
      - Whether the bucket is served as a website, to everyone who reaches Garage's web port.
    type: bool
  website_index:
    description:
      - Index document, used when this run turns O(website) on.
    type: str
    default: index.html
  lifecycle:
    description:
      - Lifecycle rules that replace all that the bucket has. An empty list removes them.
    type: list
    elements: dict
    suboptions:
      prefix:
        description:
          - Objects that the rule is about, by the beginning of their names.
        type: str
        default: ""
      expiration_days:
        description:
          - Age in days at which objects are deleted.
        type: int
      abort_upload_days:
        description:
          - Age in days at which unfinished multipart uploads are dropped.
        type: int
  cors:
    description:
      - CORS rules that replace all that the bucket has. An empty list removes them. The first rule that matches counts.
    type: list
    elements: dict
    suboptions:
      allowed_origins:
        description:
          - Origins such as V(https://app.example.org), or V(*).
        type: list
        elements: str
        required: true
      allowed_methods:
        description:
          - Methods that a page of such an origin may use.
        type: list
        elements: str
        required: true
        choices: [GET, HEAD, PUT, POST, DELETE]
      allowed_headers:
        description:
          - Request headers that it may send.
        type: list
        elements: str
        default: []
      expose_headers:
        description:
          - Response headers that it may read.
        type: list
        elements: str
        default: []
      max_age_seconds:
        description:
          - How long browsers may keep the answer.
        type: int
  keys:
    description:
      - Keys and exactly what each may do with the bucket.
    type: list
    elements: dict
    suboptions:
      key:
        description:
          - Id of the key, or its name when no other key has the same.
        type: str
        required: true
      read:
        description:
          - Whether the key may list and read objects.
        type: bool
        default: false
      write:
        description:
          - Whether the key may write and delete objects.
        type: bool
        default: false
      owner:
        description:
          - Whether the key may change the bucket's own settings through the S3 API.
        type: bool
        default: false
  purge_keys:
    description:
      - Whether keys that are not in O(keys) lose their permissions on the bucket. The keys themselves stay.
    type: bool
    default: false
  s3_url:
    description:
      - Address of Garage's S3 API, C(api_bind_addr) in the section C([s3_api]) of C(garage.toml).
    type: str
  s3_region:
    description:
      - Region, C(s3_region) in the same section.
    type: str
    default: garage
  s3_access_key_id:
    description:
      - Id of the key for the S3 API.
    type: str
  s3_secret_access_key:
    description:
      - Secret of that key.
    type: str
seealso:
  - module: homelab.ai.garage_key
  - module: homelab.ai.garage_layout
"""

EXAMPLES = r"""
- name: Keep raw documents for 90 days
  homelab.ai.garage_bucket:
    admin_token_file: /etc/homelab/secrets/garage-admin
    name: raw-documents
    max_size: 100GiB
    website: false
    lifecycle:
      - expiration_days: 90
        abort_upload_days: 1
    keys:
      - key: extract
        read: true
      - key: query
        read: true
        write: true
    purge_keys: true

- name: Let a web application read its bucket, on a server before Garage 2.3
  homelab.ai.garage_bucket:
    admin_token_file: /etc/homelab/secrets/garage-admin
    name: app-media
    cors:
      - allowed_origins: [https://app.example.org]
        allowed_methods: [GET]
    keys:
      - key: GK3515373e4c851ebaad366558
        owner: true
    s3_url: http://127.0.0.1:3900
    s3_access_key_id: GK3515373e4c851ebaad366558
    s3_secret_access_key: "{{ media_secret }}"

- name: Remove a bucket that is empty
  homelab.ai.garage_bucket:
    admin_token_file: /etc/homelab/secrets/garage-admin
    name: scratch-bucket
    state: absent
"""

RETURN = r"""
bucket:
  description: The bucket's settings by option name; empty when it does not exist.
  returned: success
  type: dict
  contains:
    aliases:
      description: All global aliases, O(name) among them.
      type: list
      elements: str
    max_size:
      description: Quota in bytes, V(-1) for none.
      type: int
    max_objects:
      description: Quota of objects, V(-1) for none.
      type: int
    website:
      description: Whether it is served as a website.
      type: bool
    lifecycle:
      description:
        - Lifecycle rules. What the options cannot say is in C(other).
        - Before Garage 2.3 and without O(s3_url) they cannot be read and the list is empty.
      type: list
      elements: dict
    cors:
      description: CORS rules, like RV(bucket.lifecycle).
      type: list
      elements: dict
    permissions:
      description: The keys that have permissions, with C(access_key_id), C(name), C(read), C(write) and C(owner).
      type: list
      elements: dict
  sample: {"aliases": ["raw-documents"], "max_size": 107374182400, "website": false}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._garage import (
    GARAGE_ARGUMENTS,
    GARAGE_MUTUALLY_EXCLUSIVE,
    GARAGE_REQUIRED_ONE_OF,
    run_garage_module,
)
from ansible_collections.homelab.ai.plugins.module_utils._garage_bucket import BUCKET_ARGUMENTS, ensure_bucket
from ansible_collections.homelab.ai.plugins.module_utils._garage_s3 import S3_REQUIRED_TOGETHER


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(GARAGE_ARGUMENTS, **BUCKET_ARGUMENTS),
        mutually_exclusive=GARAGE_MUTUALLY_EXCLUSIVE,
        required_one_of=GARAGE_REQUIRED_ONE_OF,
        required_together=S3_REQUIRED_TOGETHER,
        required_if=[("purge_keys", True, ("keys",))],
        supports_check_mode=True,
    )
    run_garage_module(module, ensure_bucket)


if __name__ == "__main__":
    main()
