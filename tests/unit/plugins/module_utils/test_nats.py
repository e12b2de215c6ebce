# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._nats import NatsError, login, tls_context
from ansible_collections.homelab.ai.plugins.module_utils._nats_consumer import (
    CONSUMER_ARGUMENTS,
    CONSUMER_FIELDS,
    one_filter_list,
    refuse_consumer_update,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_fields import (
    canonical_time,
    format_duration,
    parse_duration,
    read_fields,
    refuse_conflict,
    wanted_fields,
    write_fields,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_stream import (
    STREAM_ARGUMENTS,
    STREAM_FIELDS,
    derived,
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


@pytest.mark.parametrize(("text", "shown"), CASES["times"])
def test_time(text: str, shown: str) -> None:
    assert canonical_time(text) == shown
    assert canonical_time(shown) == shown


@pytest.mark.parametrize("text", CASES["not_times"])
def test_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write date, time and zone"):
        canonical_time(text)


@pytest.mark.parametrize(
    ("fields", "case"),
    [(STREAM_FIELDS, case) for case in CASES["streams"]] + [(CONSUMER_FIELDS, case) for case in CASES["consumers"]],
)
def test_comparison(fields: Any, case: dict[str, Any]) -> None:
    before = read_fields(fields, case["server"])
    wanted = wanted_fields(fields, case["task"])
    assert sorted(option for option in wanted if wanted[option] != before[option]) == case["changes"]
    # What is written reads back as what was wanted, so that a second run changes nothing.
    written = write_fields(fields, case["server"], wanted)
    assert read_fields(fields, written) == {**before, **wanted}
    assert (written == case["server"]) is (not case["changes"] and set(wanted) <= set(case["server"]))


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


@pytest.mark.parametrize("case", CASES["wrong"])
def test_a_wrong_value_is_named_with_its_option(case: dict[str, Any]) -> None:
    with pytest.raises(NatsError) as caught:
        wanted_fields(STREAM_FIELDS, case["task"])
    assert str(caught.value).startswith(case["message"])


@pytest.mark.parametrize(("option", "before", "after", "refused"), CASES["stream_updates"])
def test_stream_updates_that_are_refused(option: str, before: Any, after: Any, refused: bool) -> None:
    same = read_fields(STREAM_FIELDS, {})
    change = ("S", {**same, option: before}, {**same, option: after})
    if not refused:
        refuse_stream_update(*change)
        return
    with pytest.raises(NatsError, match=f"stream S has {option} .* is wanted.*recreate"):
        refuse_stream_update(*change)


@pytest.mark.parametrize(("option", "before", "after", "refused"), CASES["consumer_updates"])
def test_consumer_updates_that_are_refused(option: str, before: Any, after: Any, refused: bool) -> None:
    same = read_fields(CONSUMER_FIELDS, {})
    change = ("consumer C", {**same, option: before}, {**same, option: after})
    if not refused:
        refuse_consumer_update(*change)
        return
    with pytest.raises(NatsError, match=f"consumer C has {option} .* is wanted.*another name"):
        refuse_consumer_update(*change)


def test_what_the_server_derives_may_be_asked_for_but_not_contradicted() -> None:
    also = derived({"sealed": True, "max_age": "7d"})
    assert also["max_age"] == "0s" and also["discard"] == "new"
    refuse_conflict("stream S", {"sealed": True, "max_age": "0s"}, also, "2.15.1")
    with pytest.raises(
        NatsError, match=r"stream S gets max_age 0s although 7d is wanted: nats-server 2.15.1 .*leave max_age out"
    ):
        refuse_conflict("stream S", {"sealed": True, "max_age": "7d"}, also, "2.15.1")
    assert derived({"subject_delete_marker_ttl": "0s"}) == {} == derived({})
    assert derived({"subject_delete_marker_ttl": "1m"})["allow_msg_ttl"] is True
    assert derived({"duplicate_window": "0s"}) == {"duplicate_window": "2m"}
    assert derived({"duplicate_window": "0s", "max_age": "5s"}) == {"duplicate_window": "5s"}
    assert derived({"duplicate_window": "0s", "sources": [{"name": "A"}]}) == {}


NOBODY = dict.fromkeys(["user", "password", "password_file", "token", "creds_file", "nkey_seed_file"])


def test_login(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    assert login(NOBODY) == ({}, "no user")
    assert login({**NOBODY, "token": "t"}) == ({"token": "t"}, "the holder of the token")
    assert login({**NOBODY, "user": "u", "password_file": str(file)}) == (
        {"user": "u", "password": "hunter2"},
        "user u",
    )
    for option, message in {
        "creds_file": "has no NATS USER JWT: write it with nsc",
        "nkey_seed_file": "holds no seed of a user, which is 58 characters",
    }.items():
        with pytest.raises(NatsError, match=f"{option} {file} {message}") as caught:
            login({**NOBODY, option: str(file)})
        assert "hunter2" not in str(caught.value)
        with pytest.raises(NatsError, match=f"cannot read {option} /absent"):
            login({**NOBODY, option: "/absent"})
    with pytest.raises(NatsError, match="user u has no password: give password or password_file"):
        login({**NOBODY, "user": "u"})


def test_tls_files_are_named_when_they_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "empty.pem"
    file.write_text("nothing")
    nothing = {"tls_ca": None, "tls_cert": None, "tls_key": None}
    assert tls_context(nothing) is None
    with pytest.raises(NatsError, match=f"cannot use tls_ca {file}"):
        tls_context({**nothing, "tls_ca": str(file)})
    with pytest.raises(NatsError, match=f"cannot use tls_cert {file}"):
        tls_context({**nothing, "tls_cert": str(file), "tls_key": str(file)})


def test_one_filter_and_a_list_of_one_are_the_same() -> None:
    assert one_filter_list({"filter_subject": "a"}) == one_filter_list({"filter_subjects": ["a"]})
    assert read_fields(CONSUMER_FIELDS, one_filter_list({}))["filter_subjects"] == []
