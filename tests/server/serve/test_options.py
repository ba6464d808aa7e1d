"""Tests of the options of `podium serve` and of their environment variables."""

import dataclasses
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from podium._limits.limits import Limits
from podium._model.access import TokenLimits
from podium.cli._parsers import command_parser
from podium_server.rpc.audit import AuditError
from podium_server.rpc.fronts.ports import ListenError
from podium_server.serve import command
from podium_server.serve.addresses import check_addresses
from podium_server.serve.settings import ConfigError, ServerTLS, Settings
from podium_server.store.contract import StoreError

from tests.each import each


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--limit=names_bytes=5",
            "'names_bytes=5': there is no limit 'names_bytes'; did you mean 'name_bytes'",
        ),
        (
            "--limit=name_bytes=x",
            "'name_bytes=x': name_bytes must be a whole number from 1 to 2^63-1, not 'x'",
        ),
        ("--limit=name_bytes", "give NAME=NUMBER, not 'name_bytes'"),
        ("--total-limit=qqq=1", "there is no limit 'qqq'; the limits are "),
    ],
)
def test_a_wrong_limit(option: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error about a wrong limit says whether its name, its number or its form is wrong."""
    with pytest.raises(SystemExit):
        command_parser("serve", command).parse_args([option])
    assert message in capsys.readouterr().err


@each(
    ("settings", "message"),
    [
        (Settings(http=("8080",)), "--http is HOST:PORT, such as '127.0.0.1:8080', not '8080'"),
        (
            Settings(http=("localhost",)),
            "--http is HOST:PORT, such as 'localhost:8080', not 'localhost'",
        ),
        (Settings(http=("unix:/x",)), "--http is HOST:PORT, not 'unix:/x'"),
        (
            Settings(listen=("8080",)),
            "--listen is HOST:PORT or unix:PATH, such as '127.0.0.1:8080', not '8080'",
        ),
        (Settings(listen=("unix:",)), "--listen is HOST:PORT or unix:PATH, not 'unix:'"),
    ],
)
def test_a_wrong_address(settings: Settings, message: str) -> None:
    """The error about a wrong address names the option and the valid forms of an address.

    If there is a valid address that is similar, the error also names this one.
    """
    with pytest.raises(ConfigError) as raised:
        check_addresses(settings)
    assert str(raised.value) == message


def test_every_option_has_a_help() -> None:
    """Each option has a text in `podium serve --help`."""
    parser = command_parser("serve", command)
    assert [each.dest for each in parser._actions if not each.help] == []


def test_variables_have_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable can have several addresses, separated by commas. The option replaces them all."""
    monkeypatch.setenv("PODIUM_LISTEN", "127.0.0.1:0, unix:/run/p.sock")
    monkeypatch.setenv("PODIUM_SERVE_HTTP", "127.0.0.1:1")
    parser = command_parser("serve", command)
    given = parser.parse_args([])
    assert given.listen == ["127.0.0.1:0", "unix:/run/p.sock"]
    assert given.http == ["127.0.0.1:1"]
    given = parser.parse_args(["--http=127.0.0.1:2", "--http=127.0.0.1:3", "--listen=[::1]:4"])
    assert given.http == ["127.0.0.1:2", "127.0.0.1:3"]
    assert given.listen == ["[::1]:4"]


def test_empty_variables_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable with an empty value leaves the default of its option."""
    monkeypatch.setenv("PODIUM_LISTEN", "")
    monkeypatch.setenv("PODIUM_STORE", "")
    given = command_parser("serve", command).parse_args([])
    assert given.listen == ["127.0.0.1:50051"]
    assert given.store == "sqlite:///podium.db"


_SETTINGS: dict[str, tuple[str, str, Any]] = {
    "--listen": ("127.0.0.1:1", "listen", ("127.0.0.1:1",)),
    "--http": ("127.0.0.1:2", "http", ("127.0.0.1:2",)),
    "--http-origin": ("https://podium.example:8", "http_origins", ("https://podium.example:8",)),
    "--store": ("sqlite:///other.db", "store", "sqlite:///other.db"),
    "--insecure": ("", "insecure", True),
    "--auth": ("none", "auth", "none"),
    "--audit": ("audit.jsonl", "audit", Path("audit.jsonl")),
    "--front": ("auto", "front", "auto"),
    "--traces": ("1", "traces", 1.0),
    "--reflection": ("", "reflection", True),
    "--limit": ("name_bytes=1024", "limits", Limits(name_bytes=1024)),
    "--token-limit": ("calls=3", "token_limits", TokenLimits(calls=3)),
    "--total-limit": ("watches=4", "total_limits", TokenLimits(watches=4)),
    "--answer-cache": ("8_000", "answer_cache_bytes", 8_000),
    "--grace": ("0", "grace_seconds", 0.0),
}
"""For each option: a valid value, the field of `Settings` that it sets, and the field's value."""
_OTHERS = {"--help", "--log-format", "--log-level", "--tls-cert", "--tls-key", "--tls-client-ca"}

Serve = Callable[..., tuple[Settings, tuple[str, str]]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Returns a function that runs `podium serve` without a server.

    The function returns the settings, and the format and level of the log.
    """
    given: list[Any] = []

    async def stop_at_once(settings: Settings) -> int:
        given.append(settings)
        return 7

    monkeypatch.delenv("PODIUM_SERVE_FRONT")
    monkeypatch.setattr(command, "_serve", stop_at_once)
    monkeypatch.setattr(command, "set_up_logs", lambda *style: given.append(style))
    monkeypatch.setattr(command, "tune_collector", lambda: None)

    def run(*arguments: str) -> tuple[Settings, tuple[str, str]]:
        given.clear()
        assert command.run(command_parser("serve", command).parse_args(arguments)) == 7
        style, settings = given
        return settings, style

    return run


def test_each_option_is_in_the_table() -> None:
    """Each option of `podium serve` is in `_SETTINGS`, for the next test, or in `_OTHERS`."""
    parser = command_parser("serve", command)
    assert {each.option_strings[-1] for each in parser._actions} == _SETTINGS.keys() | _OTHERS


@pytest.mark.parametrize("option", _SETTINGS)
def test_an_option_and_its_variable_set_one_field(
    serve: Serve, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option sets its field of the settings and no other one, and so does its variable."""
    text, field, value = _SETTINGS[option]
    expected = dataclasses.replace(Settings(), **{field: value})
    assert expected != Settings()
    assert serve(*([option, text] if text else [option]))[0] == expected
    name = option.removeprefix("--").replace("-", "_").upper()
    prefix = "PODIUM_" if option in ("--listen", "--store") else "PODIUM_SERVE_"
    monkeypatch.setenv(prefix + name, text or "True")
    assert serve()[0] == expected


@pytest.mark.parametrize("text", ["", "0", "false", "False", "no", " NO "])
def test_a_variable_switches_an_option_off(
    serve: Serve, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If PODIUM_SERVE_INSECURE is empty or means no, the server is not insecure."""
    monkeypatch.setenv("PODIUM_SERVE_INSECURE", text)
    assert serve()[0] == Settings()


def test_the_log_has_the_given_format_and_level(serve: Serve) -> None:
    """By default, the log is text with the level `info`. Options set both."""
    assert serve()[1] == ("text", "info")
    assert serve("--log-format", "json", "--log-level", "debug")[1] == ("json", "debug")


def test_an_option_that_repeats_its_default_is_kept(serve: Serve) -> None:
    """A repeated `--listen` adds an address, even if one of them is the default."""
    addresses = (*Settings().listen, "127.0.0.1:1", *Settings().listen)
    given = [text for address in addresses for text in ("--listen", address)]
    assert serve(*given)[0].listen == addresses


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--limit", "name_bytes=1025", "give name_bytes=NUMBER, from 1 to 1024"),
        ("--traces", "1.1", "give a number from 0 to 1, such as 0.01, not '1.1'"),
        ("--traces", "-0.1", "give a number from 0 to 1, such as 0.01, not '-0.1'"),
        ("--grace", "-1", "give a number of seconds, 0 or more, not '-1'"),
        ("--grace", "nan", "give a number of seconds, 0 or more, not 'nan'"),
        ("--grace", "inf", "give a number of seconds, 0 or more, not 'inf'"),
        ("--answer-cache", "-1", "give a number of bytes, such as 8_000_000"),
        ("--answer-cache", "8MB", "give a number of bytes, such as 8_000_000"),
        ("--http-origin", "https://podium.example/", "'https://podium.example/' is not an origin"),
        ("--http-origin", "podium.example", "'podium.example' is not an origin"),
        ("--http-origin", "https://Podium.example", "'https://Podium.example' is not an origin"),
        ("--http-origin", "https://*.example", "'https://*.example' is not an origin"),
        ("--auth", "token", "'token' is not one of tokens, none"),
    ],
)
def test_a_value_beyond_its_range(
    option: str,
    text: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An invalid value is an error, both in an option and in its environment variable.

    The option's error says which values are valid. The variable's error names the variable.
    """
    with pytest.raises(SystemExit):
        command_parser("serve", command).parse_args([f"{option}={text}"])
    assert message in capsys.readouterr().err
    variable = f"PODIUM_SERVE_{option.removeprefix('--').replace('-', '_').upper()}"
    monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit):
        command_parser("serve", command)
    assert f"{variable}: " in capsys.readouterr().err


def test_the_files_of_tls(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """`--tls-cert` and `--tls-key` need each other. `--tls-client-ca` needs both."""
    cert, key, client_ca = "--tls-cert=c.pem", "--tls-key=k.pem", "--tls-client-ca=a.pem"
    files = Path("c.pem"), Path("k.pem")
    assert serve(cert, key)[0] == Settings(tls=ServerTLS(*files))
    assert serve(cert, key, client_ca)[0] == Settings(tls=ServerTLS(*files, Path("a.pem")))
    for some in ([cert], [key], [client_ca], [cert, client_ca], [key, client_ca]):
        assert command.run(command_parser("serve", command).parse_args(some)) == 2
        assert "give --tls-cert and --tls-key together" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "warns"),
    [
        (1024, 524_288, (1200, 524_288), False),
        (1024, resource.RLIM_INFINITY, (1200, resource.RLIM_INFINITY), False),
        (256, 1100, (1100, 1100), True),
        (256, 256, None, True),
        (4096, 524_288, None, False),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, False),
    ],
)
def test_enough_files_can_be_open(
    soft: int,
    hard: int,
    raised: tuple[int, int] | None,
    warns: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The soft limit of open files is raised to fit all connections, at most to the hard limit.

    It is never lowered. If the hard limit is too low, the server logs a warning.
    """
    changes: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: changes.append(limits))
    monkeypatch.setattr(command, "MAX_CONNECTIONS", 1000)
    command._allow_open_files()
    assert changes == ([] if raised is None else [raised])
    assert ["raise ulimit -n" in text for text in caplog.messages] == [True] * warns


@pytest.mark.usefixtures("serve")
@pytest.mark.parametrize("kind", [AuditError, ConfigError, ListenError, StoreError])
def test_a_start_that_fails_is_one_line(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If a server cannot start, the log has one message with the reason. The exit code is 2."""

    async def fail(_settings: Settings) -> int:
        raise kind("the reason")

    monkeypatch.setattr(command, "_serve", fail)
    assert command.run(command_parser("serve", command).parse_args([])) == 2
    assert caplog.messages == ["the reason"]


def test_what_is_set_up_before_a_server_starts(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`podium serve` raises its limit of open files, and tunes the garbage collector."""
    done: list[str] = []
    for name in ("tune_collector", "_allow_open_files"):
        monkeypatch.setattr(command, name, partial(done.append, name))
    serve()
    assert sorted(done) == ["_allow_open_files", "tune_collector"]
