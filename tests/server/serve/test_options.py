"""Options of `podium serve` that are wrong, and their help."""

import pytest
from podium.cli._parsers import command_parser
from podium_server.serve import command
from podium_server.serve.addresses import check_addresses
from podium_server.serve.settings import ConfigError, Settings


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
    """The error quotes the input, and says which half of it is wrong."""
    with pytest.raises(SystemExit):
        command_parser("serve", command).parse_args([option])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
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
    """The error names the option, its forms and a similar address."""
    with pytest.raises(ConfigError) as raised:
        check_addresses(settings)
    assert str(raised.value) == message


def test_every_option_has_a_help() -> None:
    """An option without a text in `podium serve --help` is a question."""
    parser = command_parser("serve", command)
    assert [each.dest for each in parser._actions if not each.help] == []


def test_variables_have_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas separate the addresses of a variable; options replace all of them."""
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
    """A variable without a value leaves the default, as scripts expect that set `NAME=`."""
    monkeypatch.setenv("PODIUM_LISTEN", "")
    monkeypatch.setenv("PODIUM_STORE", "")
    given = command_parser("serve", command).parse_args([])
    assert given.listen == ["127.0.0.1:50051"]
    assert given.store == "sqlite:///podium.db"
