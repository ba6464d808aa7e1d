"""Tests of messages of commands: errors, places in files, totals of calls, and findings."""

import argparse
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium import TokenLimits
from podium._model.recording import KeptField, RecordResult
from podium.cli import _check_server
from podium.cli._check_files import _space
from podium.cli._exits import CommandError, Exit, exit_of, naming_options, text_of
from podium.cli._findings import Level, failed, ok
from podium.cli._input import read_items
from podium.cli._json import loads
from podium.cli.commands import page, record
from podium.errors import (
    InvalidArgumentError,
    NotFoundError,
    PodiumError,
    RefusedEvent,
    UnavailableError,
    error_for,
)

from tests.each import each

# ---- Messages ------------------------------------------------------------------------------------


@each(
    ("error", "code"),
    [
        (NotFoundError("no"), 1),
        (InvalidArgumentError("no"), 2),
        (UnavailableError("no"), 3),
        (PodiumError("no"), 3),
    ],
)
def test_the_exit_code_of_an_error(error: PodiumError, code: int) -> None:
    """The exit code tells scripts whether something is missing, wrong, or to be tried again."""
    assert exit_of(error) == code


def test_the_text_of_an_error() -> None:
    """The text of an error is one line, without the index of the event in the call."""
    refusal = RefusedEvent(3, "NAME_INVALID", True, "the name\n  is empty\n")  # noqa: FBT003
    error = error_for("NAME_INVALID", "events[3]: the name is empty", refusals=[refusal])
    assert text_of(error) == "the name is empty (NAME_INVALID)"
    assert text_of(PodiumError(" a \r\n b ")) == "a b"


def test_an_error_names_the_option() -> None:
    """In an error, the name of a field becomes the name of the option.

    Longer names that contain the name of the field are unchanged.
    """
    text = "arm_annotated.notes is long, arm_annotated.notes_x and xarm_annotated.notes are not"
    with (
        pytest.raises(CommandError, match=r"^--note is long, arm_annotated\.notes_x and xarm_ann"),
        naming_options("arm_annotated", {"notes": "--note"}),
    ):
        raise InvalidArgumentError(text)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('{"a": 1}\n\n{"a": 2}\n', ["line 1", "line 3"]),
        ('\n\ufeff{"a": 1}\n', None),
        ('\ufeff{"a": 1}\n', ["line 1"]),
        ('\n\n{"a": 1}\n{"a": 2}', ["line 3", "line 4"]),
        ('\n[{"a": 1},\n{"a": 2}]', ["item 1", "item 2"]),
        ('\n{\n"a": 1}', ["line 2"]),
        ("", []),
    ],
)
def test_the_places_of_what_is_read(tmp_path: Path, text: str, places: list[str] | None) -> None:
    """Messages name the line in the file, or the item of a list. Both are counted from 1."""
    file = tmp_path / "f"
    file.write_text(text, encoding="utf-8")
    if places is None:
        with pytest.raises(ValueError, match="line 2"):
            list(read_items(str(file)))
        return
    assert [item.place for item in read_items(str(file))] == [f"{file}, {each}" for each in places]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n1,\n{"a": NaN}]', "NaN is not JSON"),
        ('{"a": 1,\n"b": }', "line 2: "),
        ('{"a": 1}\n{"b": 2\n', "line 2: "),
        ('{"a": 1}\n{"b": }\n', "line 2: "),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ('{"a": 1e999}', "1e999 is too large for a double"),
        (f'{{"a": {"9" * 311}}}', "a number of 311 digits is too large"),
        ('{"a": "\\uD800"}', "an unpaired surrogate"),
        ('{"a": "\\udfff"}', "an unpaired surrogate"),
    ],
)
def test_json_that_is_not_strict(tmp_path: Path, text: str, message: str) -> None:
    """JSON that parsers read differently, such as NaN or a repeated key, is an error."""
    file = tmp_path / "f"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        list(read_items(str(file)))


def test_pairs_of_surrogates_are_text() -> None:
    """A pair of surrogates is read as one character, as by other programs."""
    assert loads('"\\ud83d\\ude00"') == "😀"
    assert loads("9" * 310) == int("9" * 310)


# ---- Results of `podium record` ------------------------------------------------------------------


def test_the_sum_of_several_calls() -> None:
    """The sum of several calls names each kept field once.

    A kept field is one that keeps its stored value. If the calls are about several experiments, the
    sum has no revision.
    """
    batch: Any = SimpleNamespace(places=["a", "b"])
    kept = (KeptField("parent"), KeptField("tags"))
    one = record._Sum().plus("x", batch, RecordResult(3, 1, kept_fields=kept[:1]))
    two = one.plus("x", batch, RecordResult(5, 2, kept_fields=kept))
    assert [tuple(one), tuple(two)] == [
        (3, 2, 1, ("parent",), ("x",)),
        (5, 4, 3, ("parent", "tags"), ("x",)),
    ]
    assert two.plus("y", batch, RecordResult(9, 0)).revision is None


@each(
    ("error", "none", "some"),
    [
        (error_for("NAME_INVALID", ""), "; nothing was recorded", ", the others are not"),
        (error_for("SHUTTING_DOWN", ""), "; nothing was recorded", ", the others are not"),
        (error_for("OUTCOME_UNKNOWN", ""), "", ""),
        (UnavailableError(""), "", ""),
        (NotFoundError(""), "; nothing was recorded", ", the others are not"),
    ],
)
def test_how_much_is_recorded_after_an_error(error: PodiumError, none: str, some: str) -> None:
    """The message says that the events of a failed call are not recorded.

    It does not say so if the server may have stored the call.
    """
    assert record._recorded_part(error, 0) == none
    assert record._recorded_part(error, 2) == (
        f"; the first 2 events are recorded{some}, and it is safe to record everything again"
    )


@each(
    ("count", "end"),
    [(1, ""), (2, "line 1"), (10, "line 9"), (11, " and 1 more"), (13, " and 3 more")],
)
def test_the_rejected_lines_are_named(count: int, end: str) -> None:
    """The message has the first rejected line with its reason, and names nine more lines.

    It counts the other rejected lines.
    """
    refusals = [RefusedEvent(n, "NAME_INVALID", True, f"m{n}") for n in range(count)]  # noqa: FBT003
    error = error_for("NAME_INVALID", "", refusals=refusals)
    text = record._refused(error, [f"line {n}" for n in range(count)])
    assert text.startswith("line 0: m0 (NAME_INVALID)")
    assert text.endswith(end)
    assert text.count("line") == min(count, 10)


# ---- Findings of `podium doctor` -----------------------------------------------------------------


@each(
    ("ahead", "pause", "level", "text"),
    [
        (0.0, 0.0, Level.OK, "by less than 5 s"),
        (5.5, 2.0, Level.OK, "by less than 5 s"),
        (-5.5, 0.0, Level.WARNING, "6 s behind the server's"),
        (299.0, 0.0, Level.WARNING, "299 s ahead of the server's"),
        (301.0, 0.0, Level.FAILED, "301 s ahead of the server's"),
        (301.0, 4.0, Level.WARNING, "301 s ahead of the server's"),
    ],
)
def test_the_clock_of_this_machine(ahead: float, pause: float, level: Level, text: str) -> None:
    """The difference of the clocks is reduced by half of the duration of the call to the server."""
    server: Any = SimpleNamespace(time=datetime.fromtimestamp(1e9, UTC))
    found = _check_server._clock(server, 1e9 + ahead, pause)
    assert (found.level, text in found.text) == (level, True)


@each(
    ("role", "days", "most", "rows", "text"),
    [
        ("recorder", None, None, None, None),
        ("admin", 15, 1_000, 899, None),
        ("recorder", 13, None, None, "create a new token"),
        ("reader", None, None, None, "get a token with the role recorder"),
        ("recorder", None, 1_000, 900, "delete results"),
        ("recorder", None, 1_000, None, None),
    ],
)
def test_the_token_in_use(
    role: str, days: int | None, most: int | None, rows: int | None, text: str | None
) -> None:
    """A token that ends within two weeks, cannot record, or is nearly full gets a warning."""
    given: Any = SimpleNamespace(
        name="n",
        id="i",
        role=role,
        prefixes=[],
        limits=TokenLimits(stored_rows=most),
        stored_rows=rows,
        expire_time=None if days is None else datetime.now(UTC) + timedelta(days=days),
    )
    found = _check_server._token(given)
    assert (found.level, found.remedy.startswith(text or "")) == (
        Level.WARNING if text else Level.OK,
        True,
    )


@pytest.mark.parametrize(
    ("free", "least", "level"),
    [
        (1 << 30, 0, Level.OK),
        ((1 << 30) - 1, 0, Level.WARNING),
        (64 << 20, 0, Level.WARNING),
        ((64 << 20) - 1, 0, Level.FAILED),
        (5 << 30, 6 << 30, Level.WARNING),
    ],
)
def test_the_room_on_a_disk(
    free: int, least: int, level: Level, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Less free space than 1 GiB, or than the store needs, is a warning.

    Less than 64 MiB is a failure.
    """
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=free))
    assert _space("store", tmp_path, "text", least).level is level


def test_no_call_is_made_without_a_safe_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the port is open, but the encryption fails, no check that sends the token follows."""
    found = [ok("address", "open"), failed("tls", "refused", "renew it")]
    monkeypatch.setattr(_check_server, "_connection", lambda *_: found)
    given = argparse.Namespace(address="h:1", timeout=None)
    assert list(_check_server.check_server(given)) == found


def test_another_program_at_the_address_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is not Podium's is an error, and is not opened."""
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"hello"))
    with pytest.raises(CommandError, match="is not an HTTP address of Podium") as raised:
        page._check("http://h:1/", 5.0)
    assert raised.value.code == Exit.FAILED
