"""Tests of how commands write values for people, and read the values of options."""

import argparse
import math
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium import TokenLimits
from podium.cli import _arguments, _connecting, _format, _parsers
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli.commands import export, page, token, watch

from tests.each import each

# ---- Formats -------------------------------------------------------------------------------------


@each(
    ("seconds", "shown"),
    [
        (None, ""),
        (0.0, ""),
        (0.1234, "0.123 s"),
        (59.4, "59.4 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3_599.4, "59 min 59 s"),
        (3_599.6, "1 h 00 min"),
        (7_260, "2 h 01 min"),
        (3_599_999, "999 h 59 min"),
        (3_600_000, "3.6e+06 s"),
        (math.inf, "inf s"),
        (math.nan, "nan s"),
    ],
)
def test_a_duration(seconds: float | None, shown: str) -> None:
    """A duration is rounded before it is split into units, so that no part is 60."""
    assert _format.duration(seconds) == shown


def test_a_moment_is_in_utc() -> None:
    """A moment is shown in UTC, whatever its time zone."""
    time = datetime(2026, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert _format.moment(time) == "2026-01-01 23:30:00Z"
    assert _format.moment(None) == ""


@each(
    ("value", "shown"),
    [(0.00009, "<0.0001"), (0.0001, "0.0001"), (0.0005, "0.0005"), (0.256, "0.26"), (1.0, "1")],
)
def test_a_p_value(value: float, shown: str) -> None:
    """A very small p-value is not shown as zero."""
    assert _format.p_value(value) == shown


def test_counts_texts_and_values() -> None:
    """The noun after zero is plural. Metrics are sorted by name. Letters such as `ä` are kept.

    As the last line of a text, its last line that is not blank is shown.
    """
    assert [_format.count(n, "arm") for n in (0, 1, 2_000)] == ["0 arms", "1 arm", "2,000 arms"]
    assert _format.metrics({"b": 1.0, "a": 0.1234567}) == "a=0.123457  b=1"
    assert _format.value({"ä": 1}) == '{"ä": 1}'
    assert _format.last_line("Traceback\n  boom \n\n") == "boom"
    assert _format.last_line(None) == ""


def test_only_a_running_arm_shows_its_last_event() -> None:
    """The time of the last event is shown only for a running arm."""
    time = datetime(2026, 1, 2, tzinfo=UTC)
    for status in podium.ArmStatus:
        arm: Any = SimpleNamespace(status=status, last_heard=time)
        assert bool(_format.last_heard(arm)) is (status == "running")


def test_the_texts_of_a_token() -> None:
    """If a token has no prefixes, `(all)` is shown in their place.

    If a token has a limit of stored rows, the number of its rows is shown, even if it is 0.
    """
    bare: Any = SimpleNamespace(prefixes=[], limits=TokenLimits(), stored_rows=None)
    full: Any = SimpleNamespace(
        prefixes=["a", "b"], limits=TokenLimits(stored_rows=2_000, watches=3), stored_rows=0
    )
    assert [_format.prefixes(each) for each in (bare, full)] == ["(all)", "a b"]
    assert _format.limits(bare) == "-"
    assert sorted(_format.limits(full).split()) == ["stored_rows=2000", "watches=3"]
    assert [_format.stored_rows(each) for each in (bare, full)] == ["-", "0 of 2,000"]


# ---- Options -------------------------------------------------------------------------------------


@each(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=1.0", 1.0),
        ("a=true", True),
        ("a=null", None),
        ("a=x=y", "x=y"),
        ("a=1..5", (1.0, 5.0)),
        ("a=5..5", (5.0, 5.0)),
        ("a=1..", (1.0, None)),
        ("a=..5", (None, 5.0)),
        ("a=x..y", "x..y"),
        ("a=[1", "[1"),
        (f"a={2**63 - 1}", 2**63 - 1),
    ],
)
def test_a_filter_of_configurations(text: str, value: object) -> None:
    """The value of a filter is read as a range or as JSON, or else as a string."""
    path, found = _arguments.config_filter(text)
    assert (path, found, type(found)) == ("a", value, type(value))


@each("text", ["a", "=1", "a=", "a=5..1", f"a={2**63}"])
def test_no_filter_of_configurations(text: str) -> None:
    """A missing path, a reversed range, and an integer that is too large are errors.

    `a=` is not an error, but a filter for the empty string.
    """
    if text == "a=":
        assert _arguments.config_filter(text) == ("a", "")
        return
    with pytest.raises(argparse.ArgumentTypeError):
        _arguments.config_filter(text)


def test_numbers_of_options() -> None:
    """The number that an option gets is accepted up to the bounds of the option.

    A number beyond the bounds is an error, except that a too large `--limit` is lowered.
    """
    assert _arguments.step(f"-{2**63}") == -(2**63)
    assert _arguments.positive(str(2**31)) == 2**31 - 1
    assert _arguments.named_number(f"a={2**63 - 1}", ["a"]) == ("a", 2**63 - 1)
    assert _arguments.named_number("a=1_000", ["a"]) == ("a", 1_000)
    with pytest.raises(argparse.ArgumentTypeError, match=r"^'a=1=2': a must be a whole number"):
        _arguments.named_number("a=1=2", ["a"])
    with pytest.raises(argparse.ArgumentTypeError, match=r"^give NAME=NUMBER, not 'a'$"):
        _arguments.named_number("a", ["a"])
    for parse, text in (
        (_arguments.step, str(2**63)),
        (_arguments.step, "1.5"),
        (_arguments.positive, "0"),
        (_arguments.positive, "-1"),
        (lambda given: _arguments.named_number(given, ["a"]), f"a={2**63}"),
        (lambda given: _arguments.named_number(given, ["a"]), "a=0"),
        (lambda given: _arguments.named_number(given, ["a"]), "b=1"),
        (token._moment, "0d"),
        (token._moment, "9w"),
    ):
        with pytest.raises(argparse.ArgumentTypeError):
            parse(text)


@each(("limit", "size"), [(None, 1_000), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000)])
def test_the_size_of_a_page(limit: int | None, size: int) -> None:
    """A call asks for as many items as are shown, but for at most 1,000."""
    assert _arguments.page_size(limit) == size


@each(("text", "hours"), [("12h", 12), ("1d", 24), ("99999h", 99_999)])
def test_how_long_a_token_is_valid(text: str, hours: int) -> None:
    """The end of a token is given in hours or days from now."""
    left = token._moment(text) - datetime.now(UTC)
    assert timedelta(hours=hours, minutes=-1) < left <= timedelta(hours=hours)


@each(
    ("revoked", "ends", "state"),
    [
        (None, None, "valid"),
        (None, 1, "valid until "),
        (None, -1, "expired "),
        (-2, 1, "revoked "),
        (-2, -1, "revoked "),
    ],
)
def test_the_state_of_a_token(revoked: int | None, ends: int | None, state: str) -> None:
    """A token that was revoked is shown as revoked, even if it has also expired."""
    now = datetime.now(UTC)
    times = [None if days is None else now + timedelta(days=days) for days in (revoked, ends)]
    given: Any = SimpleNamespace(revoke_time=times[0], expire_time=times[1])
    assert token._state(given).startswith(state)


@each(
    ("keys", "metric", "found"),
    [
        (None, None, False),
        (None, "m", ["m"]),
        ([], None, True),
        ([], "m", True),
        (["k"], None, ["k"]),
        (["k"], "m", ["k", "m"]),
    ],
)
def test_the_series_to_watch(
    keys: list[str] | None, metric: str | None, found: bool | list[str]
) -> None:
    """`podium watch` reads the series of the given keys and of the metric that its table shows.

    `--series` without keys reads all series.
    """
    assert watch._series(keys, metric) == found


@each(
    ("path", "as_json", "form"),
    [
        (None, False, "jsonl"),
        ("a.CSV", False, "csv"),
        ("a.csv", True, "jsonl"),
        ("a.parquet", False, "parquet"),
        ("a.txt", False, "jsonl"),
    ],
)
def test_the_format_of_an_export(path: str | None, *, as_json: bool, form: str) -> None:
    """The suffix of the file decides the format of an export, unless `--json` is given."""
    assert export._format_of(path, Console(as_json=as_json)) == form


@each("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_that_spreadsheets_would_run(sign: str) -> None:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it.

    Numbers stay numbers.
    """
    assert export._cell(f"{sign}1") == f"'{sign}1"
    assert export._cell(f"a{sign}1") == f"a{sign}1"
    assert export._cell(-1.0) == -1.0


@each(
    ("given", "url"),
    [
        ("h:1", "http://h:1/"),
        ("https://h/x/y", "https://h/"),
        ("ftp://h", None),
        ("http://", None),
        ("http://h/?a=1", None),
        ("http://h/#a", None),
    ],
)
def test_the_url_of_a_page(given: str, url: str | None) -> None:
    """The address of the page is HOST:PORT or an HTTP URL, whose path is ignored.

    A URL with a query or a fragment is an error.
    """
    if url is not None:
        assert page._url(given) == url
        return
    with pytest.raises(CommandError, match=r"give HOST:PORT or http://HOST:PORT"):
        page._url(given)


@pytest.mark.parametrize("timeout", [None, 7.0])
def test_the_time_limits_of_a_command(timeout: float | None) -> None:
    """`--timeout` limits each call. The time to connect to a server is always 1.5 s."""
    client = _connecting.open_client(argparse.Namespace(address="h:1", timeout=timeout))
    connection = client._connection
    limits = connection._read_timeout, connection._write_timeout
    assert limits == ((10.0, 30.0) if timeout is None else (timeout, timeout))
    assert connection._policy.connect_seconds == 1.5


@pytest.mark.parametrize("options", [["--address", "h:1"], ["--timeout", "5"], ["--json"]])
@pytest.mark.parametrize("command", _parsers.SERVER_COMMANDS)
def test_commands_of_the_server_reject_options_of_calls(
    command: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands such as `podium serve` make no calls, so they reject the options of calls.

    These options are `--address`, `--timeout` and `--json`.
    """
    with pytest.raises(SystemExit) as raised:
        _parsers.parse([*options, command])
    assert raised.value.code == Exit.USAGE
    assert f"{command} sends no requests" in capsys.readouterr().err


@pytest.mark.parametrize("is_utf8", [True, False])
def test_an_export_to_an_output_without_utf8(
    capsys: pytest.CaptureFixture[str], *, is_utf8: bool
) -> None:
    """If the output is not UTF-8, characters outside of ASCII are escaped."""
    console = Console(as_json=False)
    console.is_utf8 = is_utf8
    given = argparse.Namespace(output=None, format="jsonl", column=[])
    with export._opened(given, console) as writer:
        writer.item({"a": "é"})
    assert capsys.readouterr().out == ('{"a": "é"}\n' if is_utf8 else '{"a": "\\u00e9"}\n')


def test_blank_lines_of_a_text_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text that is wrapped beside its label keeps the blank lines between its parts."""
    monkeypatch.setattr(Console, "width", 20)
    Console(as_json=False).fields([("notes", "one\n\ntwo three four")])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["notes  one", "", "two three", "four"]
