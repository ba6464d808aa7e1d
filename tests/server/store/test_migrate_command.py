"""Tests of `podium migrate` without a store: its exit code, and the batches that it copies."""

from types import SimpleNamespace

import pytest
from podium.cli._parsers import command_parser
from podium_server.serve import migrate as serve_migrate
from podium_server.store.sql import transfer


@pytest.mark.parametrize("verify", [False, True])
def test_differences_fail_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, verify: bool
) -> None:
    """If rows differ after a run, standard error lists the tables, and the exit code is 1."""
    found = SimpleNamespace(
        copied=0, unchanged=2, changed=[], differences=["x: table arms differs"]
    )
    asked: list[tuple[str, str, bool]] = []

    def migrate(source: str, target: str, _report: object, *, verify: bool) -> object:
        asked.append((source, target, verify))
        return found

    monkeypatch.setattr(serve_migrate, "migrate_store", migrate)
    given = ["sqlite:///a", "sqlite:///b", *["--verify"] * verify]
    assert serve_migrate.run(command_parser("migrate", serve_migrate).parse_args(given)) == 1
    out, err = capsys.readouterr()
    assert err == "podium: x: table arms differs\n"
    assert "run this again" not in out
    assert asked == [("sqlite:///a", "sqlite:///b", verify)]


def test_batches_have_few_rows_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends at a number of rows or of bytes, so that a copy needs little memory."""
    monkeypatch.setattr(transfer, "_BATCH_ROWS", 3)
    monkeypatch.setattr(transfer, "_BATCH_BYTES", 10)
    rows = [(1, "xxxx"), (2, b"xxxx"), (3, "x"), (4, "x" * 11), (5, None), (6, "x" * 10), (7, "x")]
    assert [[key for key, _ in batch] for batch in transfer._batches(rows)] == [
        [1, 2, 3],
        [4],
        [5, 6, 7],
    ]
    assert list(transfer._batches([])) == []
