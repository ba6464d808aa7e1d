"""Tests of the options of commands with `run_locally`, for which `main` opens no client.

Also tests that `main` closes the client that it opens for other commands.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from podium import NotFoundError, TokenLimits
from podium.cli import main
from podium.cli._console import Console
from podium.cli._exits import Exit
from podium.cli._findings import failed, ok, warning
from podium.cli.commands import doctor, health, page, sync, token

from tests.client.cli.direct import run


def test_the_client_of_a_command_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command closes its client at its end, even after an error."""
    for error, code in ((None, Exit.OK), (NotFoundError("no"), Exit.NOTHING)):
        opened = MagicMock()
        opened.__exit__.return_value = False
        opened.__enter__.return_value.experiment.side_effect = error
        monkeypatch.setattr("podium.cli.open_client", lambda _, opened=opened: opened)
        assert main(["metrics", "e", "--json"]) == code
        opened.__exit__.assert_called_once()


def test_options_of_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`podium token create` passes on the given role, prefixes, end and limits of a new token.

    If `podium token revoke` finds no token, the exit code is 1.
    """
    tokens = MagicMock()

    @contextmanager
    def opened(_arguments: Namespace) -> Iterator[Any]:
        yield tokens

    monkeypatch.setattr(token, "_opened", opened)
    monkeypatch.setattr(token, "_moment", lambda text: text)
    line = "token create n --role admin --prefix p --prefix q --expires-in 9d --limit watches=2"
    tokens.create_token.return_value.secret = "secret"  # noqa: S105 - no secret
    assert run(line) == Exit.OK
    assert capsys.readouterr().out == "secret\n"
    tokens.create_token.assert_called_once_with(
        "n", "admin", prefixes=["p", "q"], expire_time="9d", limits=TokenLimits(watches=2)
    )
    tokens.revoke_token.return_value = []
    assert run("token revoke t") == Exit.NOTHING
    tokens.revoke_token.assert_called_once_with("t")


def test_options_of_a_sync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`podium sync` sends each outbox to its own server, or all to --address.

    Its exit code is that of the outbox with the worst result.
    """
    views = {name: MagicMock(address=f"{name}:1", damaged={}) for name in "ab"}
    codes = {"a:1": Exit.FAILED, "b:1": Exit.OK, "c:1": Exit.NOTHING}

    def delivered(found: Any, address: str, timeout: float | None, _console: Console) -> Any:
        made.append((len(found), address, timeout))
        return [MagicMock(exit=codes[address], notices=[], missing=0, waiting=0, failure="")]

    monkeypatch.setattr(sync, "find_outboxes", lambda folder: ["a", "b"] * (folder == tmp_path))
    monkeypatch.setattr(sync, "view_of", views.__getitem__)
    monkeypatch.setattr(sync, "sync", delivered)
    monkeypatch.setattr(sync, "_tell", lambda *_: None)
    for options, calls, code in (
        ("", [(1, "a:1", None), (1, "b:1", None)], Exit.FAILED),
        ("--address c:1 --timeout 7", [(2, "c:1", 7.0)], Exit.NOTHING),
    ):
        made: list[Any] = []
        assert run(f"sync {tmp_path} {options}") == code
        assert made == calls


def test_options_of_a_probe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`podium health` waits 5 seconds, or as long as `--timeout` says.

    It succeeds if one of the addresses serves.
    """
    asked: list[Any] = []

    def ask(address: str, seconds: float, request: bytes = b"") -> bytes:
        asked.append((address, seconds))
        is_serving = address == "b:1" or request
        return health._SERVING if is_serving else health._NOT_SERVING

    monkeypatch.setattr(health, "_ask", ask)
    for line, seconds, code in (
        ("health --address a:1,b:1", 5.0, Exit.OK),
        ("health --address a:1 --timeout 7", 7.0, Exit.NOTHING),
    ):
        assert run(line) == code
        assert asked[-1][1] == seconds
    capsys.readouterr()
    run("health --address a:1 --json")
    assert '"recording": false' in capsys.readouterr().out


def test_options_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """`podium page` waits 10 seconds, or as long as `--timeout` says.

    It opens a browser only on a terminal, and not with `--print` or `--json`.
    """
    opened: list[str] = []
    checked: list[Any] = []
    monkeypatch.setattr(page, "_check", lambda *given: checked.append(given))
    monkeypatch.setattr("webbrowser.open", opened.append)
    for line, is_terminal, seconds, count in (
        ("page h:1", True, 10.0, 1),
        ("page h:1 --print", True, 10.0, 0),
        ("page h:1 --json --timeout 3", True, 3.0, 0),
        ("page", False, 10.0, 0),
    ):
        opened.clear()
        monkeypatch.setattr("sys.stdout.isatty", lambda is_=is_terminal: is_)
        assert run(line) == Exit.OK
        assert len(opened) == count, line
        host = "h:1" if "h:1" in line else "127.0.0.1:8080"
        assert checked[-1] == (f"http://{host}/", seconds)


def _noted(checked: list[Any]) -> Callable[[Any], list[Any]]:
    """Returns a check that adds its argument to `checked`, and finds no problem."""

    def check(given: Any) -> list[Any]:
        checked.append(given)
        return []

    return check


def test_options_of_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`podium doctor` checks the given outbox and store.

    The command fails only if a check has failed, not after a warning.
    """
    checked: list[Any] = []
    found = [ok("a", "well"), warning("b", "bad", "mend it")]
    monkeypatch.setattr(doctor, "check_server", lambda _given: found)
    monkeypatch.setattr(doctor, "check_outbox", _noted(checked))
    monkeypatch.setattr(doctor, "check_store", _noted(checked))
    monkeypatch.delenv("PODIUM_STORE", raising=False)
    assert run("doctor --outbox o --store s") == Exit.OK
    assert checked == [Path("o"), "s"]
    assert capsys.readouterr().out == (
        f"ok       a        well\nwarning  b        bad\n{'':17} -> mend it\n"
    )
    checked.clear()
    found.append(failed("c", "worse", "mend it"))
    assert run("doctor") == Exit.NOTHING
    assert checked == [None]
