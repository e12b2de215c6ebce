# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles say in their files: options, defaults, and the variables that tasks and templates read.

Expressions are parsed by Jinja itself, so that a literal or a comment never counts as a variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from jinja2 import Environment, meta, nodes

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


class AnyPlugin(dict[str, Any]):
    """Knows every filter and test: what they do does not matter to who reads which variable."""

    def get(self, name: str, default: Any = None) -> Any:
        return lambda value: value


JINJA = Environment(autoescape=False)
JINJA.filters = AnyPlugin()
JINJA.tests = AnyPlugin()

# Keys whose whole value is an expression without braces.
BARE = {"when", "that", "changed_when", "failed_when", "until"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def defaults(role: str) -> dict[str, Any]:
    return dict(load(ROOT / "roles" / role / "defaults" / "main.yml") or {})


def role_vars(role: str) -> dict[str, Any]:
    return dict(load(ROOT / "roles" / role / "vars" / "main.yml") or {})


def entry_points(role: str) -> dict[str, dict[str, Any]]:
    """Options by entry point."""
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: dict(spec.get("options", {})) for name, spec in specs.items()}


ENTRY_POINTS = [(role, name) for role in ROLES for name in entry_points(role)]


def task_files(role: str) -> list[Path]:
    return sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))


TUNING: dict[str, Any] = tune(
    {"memory_mib": 15900, "cores": 8, "has_avx2": True, "storage": {"total_gib": 512}}, "core", {}
)
"""homelab_tuning of a PC with 16 GB."""


def templates(role: str) -> list[Path]:
    return sorted((ROOT / "roles" / role / "templates").glob("*.j2"))


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """Every task of a loaded file, those in blocks included."""
    for task in value or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part))


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """Every template in a loaded YAML value, bare expressions in braces."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from expressions(entry, name)
    elif isinstance(value, list):
        for entry in value:
            yield from expressions(entry, key)
    elif isinstance(value, str) and ("{{" in value or "{%" in value):
        yield value
    elif isinstance(value, str) and key in BARE:
        yield "{{ " + value + " }}"


def parse(template: str) -> nodes.Template:
    # As Ansible does before it parses: a backslash in a task's expression is the regular expression's.
    return JINJA.parse(template.replace("\\", "\\\\"))


@cache
def variables_of(template: str) -> frozenset[str]:
    tree = parse(template)
    # Jinja counts a name as undeclared that is set in one branch only.
    own = {target.name for node in tree.find_all(nodes.Assign) if isinstance(target := node.target, nodes.Name)}
    return frozenset(meta.find_undeclared_variables(tree) - own)


def names_in(value: Any) -> set[str]:
    return {name for text in expressions(value) for name in variables_of(text)}


def files_of(role: str, entry_point: str) -> tuple[list[Path], list[Path]]:
    """The task files and templates that an entry point reaches; a computed name reaches all of its kind."""
    folder = ROOT / "roles" / role / "tasks"
    reached: list[Path] = []
    rendered: set[Path] = set()
    open_files = [folder / f"{entry_point}.yml"]
    while open_files:
        path = open_files.pop()
        if path in reached:
            continue
        reached.append(path)
        for task in tasks(load(path)):
            for action in ("import_tasks", "include_tasks"):
                if name := task.get(f"ansible.builtin.{action}"):
                    name = name["file"] if isinstance(name, dict) else name
                    open_files += task_files(role) if "{{" in name else [folder / name]
            if options := task.get("ansible.builtin.template"):
                source = options["src"]
                rendered |= set(templates(role)) if "{{" in source else {folder.parent / "templates" / source}
    for path in list(rendered):
        parsed = parse(path.read_text(encoding="utf-8"))
        rendered |= {folder.parent / "templates" / str(name) for name in meta.find_referenced_templates(parsed)}
    return reached, sorted(rendered)


def read_by(role: str, entry_point: str) -> set[str]:
    """All variables that an entry point reads, through vars/main.yml too."""
    task_paths, template_paths = files_of(role, entry_point)
    found: set[str] = set()
    for path in task_paths:
        found |= names_in(load(path))
    for path in template_paths:
        found |= variables_of(path.read_text(encoding="utf-8"))
    private = role_vars(role)
    followed: set[str] = set()
    while pending := (found & private.keys()) - followed:
        for name in pending:
            found |= names_in(private[name])
        followed |= pending
    return found


def outbound(role: str) -> set[str]:
    """Facts that a role sets for whoever comes after it, by its name in front."""
    facts = {
        name
        for path in task_files(role)
        for task in tasks(load(path))
        for name in task.get("ansible.builtin.set_fact", {})
    }
    return {name for name in facts if name.startswith(f"{role}_")}


def given_names(role: str) -> set[str]:
    """Names that a role sets itself: vars, register, set_fact, loop variables."""
    found = set(role_vars(role))
    for path in task_files(role):
        for task in tasks(load(path)):
            found |= {task["register"]} if "register" in task else set()
            found |= set(task.get("ansible.builtin.set_fact", {}))
            found |= {task["loop_control"]["loop_var"]} if "loop_var" in task.get("loop_control", {}) else set()
            if "ansible.builtin.include_role" not in task:
                found |= set(task.get("vars", {}))
    return found


def attribute_paths(template: str, root: str) -> set[tuple[str, ...]]:
    """Chains of attributes below the variable `root`, through `{% set x = root.a %}`; only the longest of a chain."""
    tree = parse(template)
    names: dict[str, tuple[str, ...]] = {root: ()}

    def chain(node: nodes.Node) -> tuple[str, ...] | None:
        if isinstance(node, nodes.Name):
            return names.get(node.name)
        if isinstance(node, nodes.Getattr):
            below = chain(node.node)
            return None if below is None else (*below, node.attr)
        return None

    for assignment in tree.find_all(nodes.Assign):
        target, path = assignment.target, chain(assignment.node)
        if isinstance(target, nodes.Name) and path is not None:
            names[target.name] = path
    found = {path for node in tree.find_all(nodes.Getattr) if (path := chain(node)) is not None}
    return {path for path in found if not any(other[: len(path)] == path and other != path for other in found)}
