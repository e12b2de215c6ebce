# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as users get it: built, installed into an empty path, compared with the checkout, deployed."""

from __future__ import annotations

import json
from pathlib import Path
from threading import RLock

from tests.run.counts import Counts
from tests.run.stage import Context, known_files, run_pytest

# What galaxy.yml leaves out of what git knows, and what takes its place.
LEFT_OUT = {".ci/run", "galaxy.yml"}
GENERATED = {"FILES.json", "MANIFEST.json"}

# A stack of its own: nothing of it may meet the one that may run on this machine.
DEPLOYMENT = {
    "local_stack_name": "homelab-e2e",
    "local_stack_user": "homelab-e2e",
    "local_stack_port_base": 10000,
    "local_stack_cli_link": False,
    # Nothing listens there but the trace test, while it runs.
    "local_stack_otlp_endpoint": "http://127.0.0.1:14318",
}


# Two stages may ask at the same time.
BUILDING = RLock()


def built(context: Context) -> Path | None:
    """The tarball that Galaxy gets; made once a run."""
    build = context.scratch / "build"
    command = ("ansible-galaxy", "collection", "build", "--output-path", str(build))
    with BUILDING:
        if not build.exists() and context.run(*command) != 0:
            return None
    return next(build.glob("homelab-ai-*.tar.gz"), None)


def installed(context: Context) -> Path | None:
    """The folder for ANSIBLE_COLLECTIONS_PATH that holds the installed artefact and nothing else; made once a run."""
    target = context.scratch / "collections"
    with BUILDING:
        if target.exists():
            return target
        tarball = built(context)
        if tarball is None:
            return None
        # Offline: nothing may be fetched, so a dependency that galaxy.yml does not name shows.
        install = ("ansible-galaxy", "collection", "install", "--offline", str(tarball), "-p", str(target))
        if context.run(*install, env={"ANSIBLE_COLLECTIONS_PATH": str(target)}) != 0:
            return None
        return target


def check(context: Context) -> Counts:
    """Build and installation; then that the artefact holds the checkout's files and no others."""
    collections = installed(context)
    if collections is None:
        return Counts(failed=1)
    collection = collections / "ansible_collections" / "homelab" / "ai"
    shipped = {str(path.relative_to(collection)) for path in collection.rglob("*") if not path.is_dir()} - GENERATED
    known = set(known_files())
    counts = Counts(passed=1)
    for fault, files in (("not in git", shipped - known), ("missing in the artefact", known - shipped - LEFT_OUT)):
        for name in sorted(files):
            context.say(f"{fault}: {name}")
        counts += Counts(failed=1) if files else Counts(passed=1)
    return counts


def end_to_end(context: Context) -> Counts:
    """Deploys `homelab.ai.local` from the installed artefact and runs tests/e2e; removes the stack in any case.

    What an interrupted run left is removed first: its documents would answer for those that the tests put in.
    The tests find the stack by HOMELAB_E2E (JSON: the variables of the deployment) and ANSIBLE_COLLECTIONS_PATH.
    """
    collections = installed(context)
    if collections is None:
        context.say("the artefact could not be installed: see above")
        return Counts(failed=1)
    env = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "HOMELAB_E2E": json.dumps(DEPLOYMENT)}

    def playbook(**variables: object) -> int:
        # Away from the checkout, so that only the installed collection can be found.
        extra = json.dumps(DEPLOYMENT | variables)
        return context.run("ansible-playbook", "homelab.ai.local", "-e", extra, cwd=context.scratch, env=env)

    def removed() -> bool:
        return playbook(local_stack_state="absent", local_stack_purge_data=True) == 0

    try:
        if not removed() or playbook() != 0:
            return Counts(failed=1)
        return Counts(passed=1) + run_pytest(context, "tests/e2e", env=env)
    finally:
        if not removed():
            context.say("the stack of this run could not be removed: see above")
