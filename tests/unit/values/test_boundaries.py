"""Tests of arguments, addresses, names and tokens at the exact limits of what is accepted."""

import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from podium._values import coerce
from podium._values.address import host_and_port, server_address, server_addresses, socket_path
from podium._values.names import MOST_METRIC_BYTES, MOST_NAME_BYTES, wrong_name
from podium._values.shorten_text import first_names, shorten, shorten_middle
from podium._values.suggest import did_you_mean, near_names
from podium._values.tls import TLS, file_states
from podium._values.tokens import ids_for_tokens, new_token, token_id

from tests.each import each

_INT64 = 2**63
_DAY = datetime(2026, 1, 2, tzinfo=UTC)

# ---- Arguments -----------------------------------------------------------------------------------


@each(
    ("convert", "given", "value"),
    [
        (coerce.integer, _INT64 - 1, _INT64 - 1),
        (coerce.integer, -_INT64, -_INT64),
        (coerce.integer, 3.0, 3),
        (coerce.count, 0, 0),
        (coerce.count, 2**31 - 1, 2**31 - 1),
        (coerce.seconds, math.inf, math.inf),
        (coerce.text, "é", "é"),
        (coerce.boolean, False, False),
        (coerce.texts, ("a",), ["a"]),
        (coerce.settings_list, [{2, 1}, {"b", "a"}], [[1, 2], ["a", "b"]]),
        (
            coerce.settings_list,
            [_DAY, -_INT64 - 1],
            ["2026-01-02T00:00:00+00:00", str(-_INT64 - 1)],
        ),
        (
            coerce.settings_map,
            {"n": _INT64, "m": -_INT64 - 1},
            {"n": str(_INT64), "m": str(-_INT64 - 1)},
        ),
        (coerce.settings_map, {1: b"x", "f": len}, {"1": "x", "f": "builtins.len"}),
    ],
)
def test_a_value_that_is_accepted(convert: Callable[..., Any], given: Any, value: Any) -> None:
    """The greatest and the least value are accepted.

    In settings, a value that JSON cannot hold is converted to a string or a list.
    """
    assert convert(given, "field") == value


@each(
    ("convert", "given", "error"),
    [
        (coerce.integer, _INT64, ValueError),
        (coerce.integer, -_INT64 - 1, ValueError),
        (coerce.integer, 3.5, ValueError),
        (coerce.integer, True, TypeError),
        (coerce.count, -1, ValueError),
        (coerce.count, 2**31, ValueError),
        (coerce.seconds, math.nan, ValueError),
        (coerce.number, "1", TypeError),
        (coerce.number, 10**400, ValueError),
        (coerce.text, "\ud800", ValueError),
        (coerce.boolean, 1, TypeError),
        (coerce.texts, "ab", TypeError),
        (coerce.texts, b"ab", TypeError),
        (coerce.settings_list, "ab", TypeError),
        (coerce.value, {1, 2}, TypeError),
        (coerce.value, b"x", TypeError),
        (coerce.value, _INT64, ValueError),
        (coerce.value_map, {1: "a", "1": "b"}, ValueError),
        (coerce.settings_map, {"o": object()}, TypeError),
        (coerce.settings_map, {"b": b"\xff"}, TypeError),
        (coerce.metrics, [1], TypeError),
    ],
)
def test_a_value_that_is_not_accepted(
    convert: Callable[..., Any], given: Any, error: type[Exception]
) -> None:
    """A value beyond its limit or of a wrong type raises an error that names the argument."""
    with pytest.raises(error, match="field"):
        convert(given, "field")


def test_the_depth_of_values() -> None:
    """A value may be nested 40 levels deep, but not 41."""
    nested: Any = 0
    for _ in range(40):
        nested = [nested]
    assert coerce.value(nested, "field") == nested
    with pytest.raises(ValueError, match="field contains itself, or is nested more than 40"):
        coerce.value([nested], "field")


def test_objects_with_a_list_of_values() -> None:
    """An array becomes the list of its `tolist()`, whose items are checked.

    An array whose `tolist()` returns itself raises a TypeError.
    """

    class _Array:
        def __init__(self, listed: Any) -> None:
            self._listed = listed

        def tolist(self) -> Any:
            return self if self._listed is None else self._listed

    assert coerce.value(_Array([1, [2.5]]), "field") == [1, [2.5]]
    for listed in ([{3}], None):
        with pytest.raises(TypeError, match="field"):
            coerce.value(_Array(listed), "field")


class _Kind(Enum):
    NUMBER = 7
    HALF = 0.5
    OTHER = (1, 2)


def test_members_of_enums_in_settings() -> None:
    """A member of an enum becomes its value if that is plain, and otherwise its name."""
    found = coerce.settings_map({"a": _Kind.NUMBER, "b": _Kind.OTHER, "c": _Kind.HALF}, "field")
    assert found == {"a": 7, "b": "OTHER", "c": 0.5}


def test_a_set_in_settings_has_an_order() -> None:
    """A set in settings becomes a sorted list, even if it contains both 1 and "1"."""
    found = coerce.settings_map({"a": {1, "1", 2, "2", 3, "3"}}, "field")
    assert found == {"a": [1, 2, 3, "1", "2", "3"]}


# ---- Addresses -----------------------------------------------------------------------------------


def test_addresses_at_their_bounds() -> None:
    """The greatest port is 65535, and the longest socket path has 107 bytes.

    A greater port or a longer path is rejected.
    """
    assert host_and_port("h:65535") == ("h", 65_535)
    with pytest.raises(ValueError, match="a port is at most 65535"):
        host_and_port("h:65536")
    path = "/" + "é" * 53
    assert socket_path(f"unix:{path}") == path
    with pytest.raises(ValueError, match="at most 107 bytes"):
        socket_path(f"unix:{path}e")


def test_several_servers() -> None:
    """A repeated server counts once. A comma in a socket path does not separate servers."""
    assert server_address(" h:1, i:2 ,h:1\n") == "h:1,i:2"
    assert server_addresses("h:1,i:2") == ("h:1", "i:2")
    assert server_addresses("unix:/a,b") == ("unix:/a,b",)
    assert server_address("dns:h:1") == "dns:h:1"


@each(
    ("given", "near"),
    [
        ("50051", "127.0.0.1:50051"),
        ("99999", None),
        ("host", "host:50051"),
        ("http://me@host:8080/x", "host:8080"),
        ("::1", "[::1]:50051"),
        ("::1:50051", None),
        ("host:", "host:50051"),
        ('" host:1 "', "host:1"),
    ],
)
def test_what_is_suggested_for_an_address(given: str, near: str | None) -> None:
    """If a malformed address resembles a valid one, the error suggests the valid one."""
    with pytest.raises(ValueError, match="an address is HOST:PORT") as raised:
        server_address(given)
    if near is not None:
        assert f"such as {near!r}," in str(raised.value)


def test_an_error_of_the_environment_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the address in PODIUM_ADDRESS is malformed, the error names the variable."""
    monkeypatch.setenv("PODIUM_ADDRESS", "host")
    with pytest.raises(ValueError, match="PODIUM_ADDRESS is HOST:PORT"):
        server_address(None)


# ---- Texts ---------------------------------------------------------------------------------------


@each(
    ("text", "is_right"),
    [
        ("", False),
        ("n" * 8, True),
        ("n" * 9, False),
        ("é" * 4, True),
        ("é" * 4 + "e", False),
        ("a\x1f", False),
        ("a\x7f", False),
        ("a\x9f", False),
        ("a\xa0", True),
    ],
)
def test_a_name_at_the_limit(text: str, *, is_right: bool) -> None:
    """If the limit is 8 bytes, a name has 1 to 8 bytes of UTF-8 and no control character."""
    assert (wrong_name(text, 8) == "") is is_right


def test_an_error_about_a_long_name() -> None:
    """An error about a long name shows 60 of its characters.

    The name of a metric can be as long as the longest eval name, a dot and the longest key.
    """
    assert wrong_name("é" * 61, 8) == f"has 122 bytes: '{'é' * 59}…'; give 1 to 8 bytes"
    assert wrong_name(" " * 9, 8).startswith("has 9 bytes: ")
    assert wrong_name("n" * 60, 8) == f"has 60 bytes: '{'n' * 60}'; give 1 to 8 bytes"
    assert len(f"{'n' * MOST_NAME_BYTES}.{'n' * MOST_NAME_BYTES}") == MOST_METRIC_BYTES


@each("limit", range(14))
def test_a_shortened_text_fits(limit: int) -> None:
    """A string within the limit of bytes is unchanged. A longer one is shortened to fit."""
    text = "aé漢b😀"
    found = shorten(text, limit)
    assert len(found.encode()) <= limit
    assert (found == text) is (limit >= len(text.encode()))
    assert not found or found == text or found.endswith("…")


@each("limit", [0, 1, 30, 40, 41, 42, 99, 100, 101])
def test_a_text_shortened_in_its_middle_fits(limit: int) -> None:
    """A string that is shortened in its middle keeps both ends and is within the limit."""
    text = "é" * 25 + "x" * 50
    found = shorten_middle(text, limit)
    assert len(found.encode()) <= limit
    assert (found == text) is (limit >= 100)
    if limit == 99:
        assert (found[0], found[-1], "bytes left out" in found) == ("é", "x", True)


def test_the_first_of_many_names() -> None:
    """The names beyond the first ones are counted, even if there is only one."""
    assert first_names(["a", "b"], 2) == "a, b"
    assert first_names(["a", "b", "c"], 2) == "a, b and 1 more"


def test_similar_names() -> None:
    """Up to three similar names are suggested. Upper and lower case make no difference.

    A name that contains the given one is similar, too, if the given one has three or more
    characters. Only the first 2,000 names are compared.
    """
    assert near_names("VAL_ACC", ["val_acc", "test_acc", "x"])[0] == "val_acc"
    assert len(near_names("loss", ["loss1", "loss2", "loss3", "loss4"])) == 3
    assert near_names("acc", ["a_very_long_name_with_acc_in_it", "b"]) == [
        "a_very_long_name_with_acc_in_it"
    ]
    assert near_names("ac", ["a_very_long_name_with_ac_in_it"]) == []
    assert near_names("name", [*("x",) * 2_000, "name"]) == []
    assert did_you_mean("loss", ["x", "loss1"]) == "; did you mean 'loss1'?"
    assert did_you_mean("loss", ["x"]) == ""


# ---- Files and tokens ----------------------------------------------------------------------------


def test_a_file_with_another_state(tmp_path: Path) -> None:
    """The state of a file differs after it is created, rewritten with equal size, or deleted."""
    file = tmp_path / "ca.pem"
    states = [file_states([file])]
    for content, at in (("a", 1), ("b", 2)):
        file.write_text(content)
        os.utime(file, ns=(at, at))
        states.append(file_states([file]))
    file.unlink()
    assert file_states([file]) == states[0]
    assert len(set(states)) == 3


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        ({"PODIUM_TLS_CA": " ca \n"}, TLS("ca")),
        ({"PODIUM_TLS_CERT": "c", "PODIUM_TLS_KEY": "k"}, TLS(None, "c", "k")),
    ],
)
def test_the_tls_files_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], found: TLS | None
) -> None:
    """A client certificate can be set without an authority, but not without its key.

    A file that cannot be read raises an error.
    """
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert TLS.from_environment() == found
    monkeypatch.setenv("PODIUM_TLS_CERT", "c")
    monkeypatch.delenv("PODIUM_TLS_KEY", raising=False)
    with pytest.raises(ValueError, match="set both"):
        TLS.from_environment()
    for pair in ({"cert": "c"}, {"key": "k"}):
        with pytest.raises(ValueError, match="belong together"):
            TLS(**pair)
    for files in (TLS("/none"), TLS(cert="/none", key="/k")):
        with pytest.raises(ValueError, match=r"^/none cannot be read: No such file"):
            files.check()


def test_a_token_that_was_mistyped() -> None:
    """A mistyped token is rejected. `ids_for_tokens` replaces tokens in a string by their ids."""
    token = new_token()
    assert token_id(token.text) == token.id
    assert len(token.text) == len("pdm__") + 10 + 30 + 6
    assert ids_for_tokens(f"a {token.text} {token.text}") == f"a {token.id} {token.id}"
    other = token.text[:-1] + ("0" if token.text[-1] != "0" else "1")
    with pytest.raises(ValueError, match="wrong checksum"):
        token_id(other)
    with pytest.raises(ValueError, match="malformed"):
        token_id(token.text[:-1])
