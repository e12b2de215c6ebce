# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._nats import (
    NatsError,
    format_duration,
    parse_duration,
    read_fields,
    wanted_fields,
    write_fields,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_consumer import (
    CONSUMER_ARGUMENTS,
    CONSUMER_FIELDS,
    one_filter_list,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_stream import (
    STREAM_ARGUMENTS,
    STREAM_FIELDS,
    refuse_stream_update,
)

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())


@pytest.mark.parametrize(("text", "nanoseconds", "shown"), CASES["durations"])
def test_duration(text: str, nanoseconds: int, shown: str) -> None:
    assert parse_duration(text) == nanoseconds
    assert format_duration(nanoseconds) == shown
    assert parse_duration(shown) == nanoseconds


@pytest.mark.parametrize("text", CASES["not_durations"])
def test_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("case", CASES["streams"])
def test_stream_comparison(case: dict[str, Any]) -> None:
    before = read_fields(STREAM_FIELDS, case["server"])
    wanted = wanted_fields(STREAM_FIELDS, case["task"])
    assert sorted(option for option in wanted if wanted[option] != before[option]) == case["changes"]
    # What is written reads back as what was wanted, so that a second run changes nothing.
    assert read_fields(STREAM_FIELDS, write_fields(STREAM_FIELDS, case["server"], wanted)) == {**before, **wanted}


def test_an_update_keeps_what_we_do_not_manage() -> None:
    config = {"name": "S", "allow_direct": True, "metadata": {"_nats.ver": "2.15.1", "old": "1"}, "max_age": 5}
    written = write_fields(STREAM_FIELDS, config, {"metadata": {"new": "2"}})
    assert written == {**config, "metadata": {"_nats.ver": "2.15.1", "new": "2"}}
    assert config["metadata"] == {"_nats.ver": "2.15.1", "old": "1"}


@pytest.mark.parametrize(
    ("fields", "arguments"), [(STREAM_FIELDS, STREAM_ARGUMENTS), (CONSUMER_FIELDS, CONSUMER_ARGUMENTS)]
)
def test_each_field_has_an_option_and_the_other_way_round(fields: Any, arguments: dict[str, Any]) -> None:
    others = {"stream", "state", "purge"}
    assert {field.option for field in fields} == set(arguments) - others


def test_the_option_is_named_when_its_value_is_wrong() -> None:
    with pytest.raises(NatsError, match="max_age: 'soon' is not a duration"):
        wanted_fields(STREAM_FIELDS, {"max_age": "soon"})


@pytest.mark.parametrize(
    ("option", "before", "after", "refused"),
    [
        ("storage", "file", "memory", True),
        ("retention", "limits", "workqueue", True),
        ("retention", "workqueue", "interest", True),
        ("retention", "limits", "interest", False),
        ("discard", "old", "new", False),
    ],
)
def test_stream_updates_that_are_refused(option: str, before: str, after: str, refused: bool) -> None:
    same = {"storage": "file", "retention": "limits", "discard": "old"}
    change = ("S", {**same, option: before}, {**same, option: after})
    if not refused:
        refuse_stream_update(*change)
        return
    with pytest.raises(NatsError, match=f"stream S has {option} {before} and {after} is wanted.*recreate"):
        refuse_stream_update(*change)


def test_one_filter_and_a_list_of_one_are_the_same() -> None:
    assert one_filter_list({"filter_subject": "a"}) == one_filter_list({"filter_subjects": ["a"]})
    assert read_fields(CONSUMER_FIELDS, one_filter_list({}))["filter_subjects"] == []
