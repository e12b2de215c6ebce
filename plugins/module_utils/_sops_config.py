# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Adds one creation rule to a `.sops.yaml`, or recipients to that rule, and leaves every other byte as it is.

The file is people's own, with their comments and order. It is therefore never dumped: the parser tells the places, text
is inserted there, and the result is parsed again to see that it says what was there before and the addition.
"""

from __future__ import annotations

import json
import re
import traceback
from typing import Any

try:
    import yaml
except ImportError:
    YAML_ERROR: str | None = traceback.format_exc()
else:
    YAML_ERROR = None


class SopsConfigError(Exception):
    """The file cannot be edited without a risk; the text is meant for the user."""


def path_regex(relative: str) -> str:
    """The rule's expression for one file; `relative` is its path from the directory of `.sops.yaml`."""
    # Only what Go's RE2 and Python read the same way is escaped.
    return "^" + re.sub(r"([.+*?()\[\]{}|^$\\])", r"\\\1", relative) + "$"


def add_recipients(text: str, regex: str, recipients: list[str]) -> str:
    """`text` with `recipients` in the rule whose `path_regex` is `regex`, which is appended where there is none.

    Raises SopsConfigError where the file is not understood, or has the rule in a form with nowhere to add to.
    """
    rules = load_rules(text)
    own = [index for index, rule in enumerate(rules) if rule.get("path_regex") == regex]
    if not own:
        expected = [*rules, {"path_regex": regex, "age": ",".join(recipients)}]
        edited = _with_rule(text, regex, recipients)
    else:
        rule = rules[own[0]]
        missing = [one for one in recipients if one not in age_recipients(rule)]
        if not missing:
            return text
        expected = list(rules)
        expected[own[0]] = {**rule, "age": ",".join(age_recipients(rule) + missing)}
        edited = _with_recipients(text, own[0], missing)
    _verify(text, edited, expected, regex, recipients)
    return edited


def load_rules(text: str) -> list[dict[str, Any]]:
    """The creation rules, in order; none for a file without any."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise SopsConfigError(f"it is not valid YAML{where}: repair it") from error
    if len(documents) > 1:
        raise SopsConfigError(f"it holds {len(documents)} YAML documents and sops reads the first: keep one")
    content = documents[0] if documents else None
    rules = {} if content is None else content
    if not isinstance(rules, dict):
        raise SopsConfigError(f"it is a {type(content).__name__} and must be a mapping with creation_rules")
    found = rules.get("creation_rules") or []
    if not isinstance(found, list) or not all(isinstance(rule, dict) for rule in found):
        raise SopsConfigError("creation_rules must be a list of mappings: repair it")
    return found


def age_recipients(rule: dict[str, Any]) -> list[str]:
    """The age recipients of a rule, which sops takes as one text with commas or as a list."""
    given = rule.get("age") or []
    parts = given.split(",") if isinstance(given, str) else [str(one) for one in given]
    return [one.strip() for one in parts if one.strip()]


def _normal(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**rule, "age": age_recipients(rule)} for rule in rules]


def _verify(before: str, after: str, rules: list[dict[str, Any]], regex: str, recipients: list[str]) -> None:
    try:
        found = load_rules(after)
        rest = [
            {name: value for name, value in (yaml.safe_load(text) or {}).items() if name != "creation_rules"}
            for text in (before, after)
        ]
        done = _normal(found) == _normal(rules) and rest[0] == rest[1]
    except SopsConfigError:
        done = False
    if not done:
        raise SopsConfigError(
            "it has a form that cannot be edited safely. Add under creation_rules yourself: "
            + json.dumps({"path_regex": regex, "age": ",".join(recipients)})
        )


def _line_end(text: str, index: int) -> int:
    """The start of the line after the one that holds `index`."""
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _insert(text: str, index: int, added: str) -> str:
    """Whole lines, put before `index`, which is a line's start or the end of the file."""
    separator = "\n" if index and text[index - 1] != "\n" else ""
    return text[:index] + separator + added + text[index:]


def _content_end(node: yaml.Node) -> int:
    """Where the last scalar in `node` ends: a block's own mark stands behind the comments that follow it."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _content_end(last[1] if isinstance(last, tuple) else last)


def _after_lines(text: str, node: yaml.Node, column: int) -> int:
    """The start of the line behind `node` and behind the comments that are indented deeper than `column`."""
    # A block scalar (`>-`) ends behind the empty lines that follow it.
    position = _line_end(text, len(text[: _content_end(node)].rstrip()))
    while position < len(text):
        line = text[position : _line_end(text, position)]
        bare = line.lstrip(" ")
        if not (bare.startswith("#") and len(line) - len(bare) > column):
            break
        position += len(line)
    return position


def _member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == name), None)


def _quoted(value: str) -> str:
    """A scalar that means itself in block and in flow style."""
    return "'" + value.replace("'", "''") + "'"


def _rule_lines(column: int, regex: str, recipients: list[str]) -> str:
    indent = " " * column
    return f"{indent}- path_regex: {_quoted(regex)}\n{indent}  age: {','.join(recipients)}\n"


def _with_rule(text: str, regex: str, recipients: list[str]) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    rules = _member(root, "creation_rules")
    if rules is None:
        end = len(text) if root is None or not root.value else _after_lines(text, root, 0)
        return _insert(text, end, "creation_rules:\n" + _rule_lines(2, regex, recipients))
    if isinstance(rules, yaml.SequenceNode) and rules.value:
        last = rules.value[-1]
        if rules.flow_style:
            flow = f"{{path_regex: {_quoted(regex)}, age: {_quoted(','.join(recipients))}}}"
            return text[: last.end_mark.index] + ", " + flow + text[last.end_mark.index :]
        column = rules.start_mark.column
        return _insert(text, _after_lines(text, last, column), _rule_lines(column, regex, recipients))
    # No rule yet: `[]`, `null` or nothing stands behind the colon.
    start, end = rules.start_mark.index, rules.end_mark.index
    emptied = text[:start].rstrip(" ") + text[end:]
    return _insert(emptied, _line_end(emptied, len(text[:start].rstrip(" "))), _rule_lines(2, regex, recipients))


def _with_recipients(text: str, index: int, missing: list[str]) -> str:
    rules = _member(yaml.compose(text, Loader=yaml.SafeLoader), "creation_rules")
    age = _member(rules.value[index], "age") if rules is not None else None
    if age is None or not age.value:
        raise SopsConfigError(
            f"creation rule {index + 1} has no age recipients to extend: add {', '.join(missing)} to it yourself"
        )
    if isinstance(age, yaml.SequenceNode) and not age.flow_style:
        column = age.start_mark.column
        lines = "".join(f"{' ' * column}- {one}\n" for one in missing)
        return _insert(text, _after_lines(text, age.value[-1], column), lines)
    if isinstance(age, yaml.SequenceNode):
        end, separator = age.value[-1].end_mark.index, ", "
    elif isinstance(age, yaml.ScalarNode) and age.style in ("|", ">"):
        # Up to the last character of the text, which lies before line ends and spaces.
        end = len(text[: age.end_mark.index].rstrip())
        start = text.rfind("\n", 0, end) + 1
        indent = len(text[start:end]) - len(text[start:end].lstrip(" "))
        separator = ",\n" + " " * indent
    else:
        quoted = text[age.end_mark.index - 1] in "'\""
        end, separator = age.end_mark.index - (1 if quoted else 0), ","
    return text[:end] + "".join(separator + one for one in missing) + text[end:]
