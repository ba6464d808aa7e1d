"""`podium doctor` finds what is wrong, says what to do, and shows no secret."""

import asyncio
import json
import time
from collections.abc import Iterator
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from podium import AsyncClient, TokenLimits
from podium._outbox import outbox_folder
from podium._values.tokens import new_token
from podium.cli import _check_files, _check_server
from podium_server.serve import tokens
from podium_server.serve.settings import ServerTLS
from podium_server.store.open import add_token
from podium_server.store.tokens import Role, TokenRow, digest_of
from podium_server.testing.calls import declared

from tests.client.cli.shell import Outcome, podium
from tests.client.client.broken import closed_port
from tests.client.sender.outboxes import appended, writer
from tests.server.access.certificates import Authority
from tests.server.access.serving import serving
from tests.stores import only_sqlite, store_url


def findings(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Returns the level and the text of each check.

    Checks that each problem has a remedy, and that nothing else has one.
    """
    found = json.loads(outcome.out)
    for each in found:
        assert each.keys() == {"level", "check", "text", "remedy"}
        assert bool(each["remedy"]) == (each["level"] != "ok")
    return {each["check"]: (each["level"], each["text"]) for each in found}


async def doctor(tmp_path: Path, address: str, *options: str, **variables: str) -> Outcome:
    """Runs `podium doctor` in a thread, so that a server can run in this process."""
    outbox = variables.pop("PODIUM_OUTBOX", str(tmp_path / "outbox"))
    return await asyncio.to_thread(
        podium, "doctor", *options, "--json", address=address, PODIUM_OUTBOX=outbox, **variables
    )


async def test_all_is_well(tmp_path: Path) -> None:
    """If there is no problem, every check has the level ok, and the exit code is 0."""
    async with serving(tmp_path, auth="none") as [address]:
        outcome = await doctor(tmp_path, address)
        found = findings(outcome)
        text = await asyncio.to_thread(podium, "doctor", address=address, PODIUM_OUTBOX="/tmp/x")  # noqa: S108
    assert {check: level for check, (level, _) in found.items() if check != "outbox"} == {
        "address": "ok",
        "tls": "ok",
        "version": "ok",
        "clock": "ok",
        "token": "ok",
        "events": "ok",
    }
    assert outcome.code == 0
    assert f"ok       address  {address} accepts connections" in text.out


async def test_no_server(tmp_path: Path) -> None:
    """`podium doctor` reports a closed port, an unknown host and a malformed address.

    Without a server, it still checks the outbox.
    """
    for address, text in (
        (closed_port(), "Connection refused"),
        ("nowhere.invalid:50051", "the name of the host is unknown"),
    ):
        outcome = await doctor(tmp_path, address)
        found = findings(outcome)
        assert (outcome.code, found["address"][0]) == (1, "failed")
        assert text in found["address"][1]
        assert "outbox" in found
    assert findings(await doctor(tmp_path, "a/b"))["settings"][0] == "failed"


async def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """The error names a certificate file that cannot be read, even if no server is running."""
    outcome = await doctor(tmp_path, closed_port(), PODIUM_TLS_CA=str(tmp_path / "nope.pem"))
    text = f"{tmp_path / 'nope.pem'} cannot be read: No such file or directory"
    assert findings(outcome)["settings"] == ("failed", text)


@pytest.mark.parametrize(
    ("days", "ca", "host", "level", "text"),
    [
        (30, "ca", "localhost", "ok", "is valid until"),
        (3, "ca", "localhost", "warning", "is valid until"),
        (30, "other", "localhost", "failed", "certificate of localhost"),
        (-1, "ca", "localhost", "failed", "expired"),
        (30, "ca", "127.0.0.1", "failed", "mismatch"),
    ],
)
async def test_certificates(
    tmp_path: Path, days: int, ca: str, host: str, level: str, text: str
) -> None:
    """`podium doctor` accepts a good certificate, and warns of one that expires soon.

    A certificate of another authority, an expired one, and one for another name are failures.
    """
    authority = Authority(tmp_path)
    Authority(tmp_path, "other")
    files = authority.issue("server", "DNS:localhost", days)
    async with serving(tmp_path, auth="none", tls=ServerTLS(*files)) as [served]:
        address = f"{host}:{served.rpartition(':')[2]}"
        outcome = await doctor(tmp_path, address, PODIUM_TLS_CA=str(tmp_path / f"{ca}.pem"))
    found = findings(outcome)
    assert (found["tls"][0], outcome.code) == (level, int(level == "failed"))
    assert text in found["tls"][1]
    assert ("version" in found) == (level != "failed")


TOKEN_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"expires": 2}, "has expired; create a new one (TOKEN_INVALID)"),
    "revoked": ({"revoked": 2}, "was revoked; create a new one (TOKEN_INVALID)"),
}


@pytest.mark.parametrize("state", TOKEN_CASES)
async def test_a_token_that_has_ended(tmp_path: Path, state: str) -> None:
    """The finding says if the token has expired or was revoked.

    A missing token and a malformed token are failures, too. The output does not show the secret.
    """
    new = new_token()
    ends, text = TOKEN_CASES[state]
    row = TokenRow(new.id, "t", digest_of(new.text), Role.RECORDER, (), created=1, **ends)
    await asyncio.to_thread(add_token, store_url(tmp_path), row)
    async with serving(tmp_path, auth="tokens") as [address]:
        outcome = await doctor(tmp_path, address, PODIUM_TOKEN=new.text)
        missing = findings(await doctor(tmp_path, address))
        malformed = await doctor(tmp_path, address, PODIUM_TOKEN=new.text[:-1])
    level, found = findings(outcome)["token"]
    assert (outcome.code, level) == (1, "failed")
    assert found.endswith(text)
    assert missing["token"][0] == "failed"
    assert findings(malformed)["settings"][0] == "failed"
    assert new.text[-30:-8] not in outcome.out + outcome.err + malformed.out + malformed.err


async def test_the_rights_of_a_token(tmp_path: Path) -> None:
    """The finding about a token has its role, prefixes, limits and expiry.

    A token that cannot record gets a warning.
    """
    url = store_url(tmp_path)
    made = [
        (await asyncio.to_thread(tokens.create, url, "t", role, ("nlp",), None))[1]
        for role in ("recorder", "reader")
    ]
    async with serving(tmp_path, auth="tokens") as [address]:
        good, reader = [
            findings(await doctor(tmp_path, address, PODIUM_TOKEN=token))["token"] for token in made
        ]
    assert good[0] == "ok"
    assert "recorder, prefixes nlp, limits -, valid until it is revoked" in good[1]
    assert reader[0] == "warning"
    assert "cannot record" in reader[1]


async def test_a_token_without_room(tmp_path: Path) -> None:
    """If a token has almost reached its limit of stored rows, a warning has the number of rows."""
    url, limits = store_url(tmp_path), TokenLimits(stored_rows=10)
    create = partial(tokens.create, url, "t", "recorder", (), None, limits)
    _, token = await asyncio.to_thread(create)
    async with serving(tmp_path, auth="tokens") as [address]:
        async with AsyncClient(address, token=token) as client:
            for number in range(9):
                await client.experiment(f"x{number}").declare()
        level, text = findings(await doctor(tmp_path, address, PODIUM_TOKEN=token))["token"]
    assert (level, text.endswith(": 9 of 10 rows are stored")) == ("warning", True)


@pytest.mark.parametrize(("ahead", "level"), [(-20.0, "warning"), (86_400.0, "failed")])
async def test_a_skewed_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float, level: str
) -> None:
    """A finding says whether the clock of this machine is ahead of the server's or behind it."""
    monkeypatch.setattr(_check_server, "_SKEW_WARNING", 10.0)
    monkeypatch.setattr(_check_server, "_now", lambda: time.time() + ahead)
    async with serving(tmp_path, auth="none") as [address]:
        found = findings(await doctor(tmp_path, address))["clock"]
    assert found[0] == level
    assert ("ahead of" if ahead > 0 else "behind") in found[1]


@pytest.fixture
def full_disk() -> Iterator[FileIO]:
    """Yields a file on a disk without space."""
    with Path("/dev/full").open("wb", buffering=0) as file:
        yield file


async def test_outboxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_disk: FileIO) -> None:
    """`podium doctor` reports an outbox that cannot be written, and events that no sender delivers.

    It also reports a full disk.
    """
    address = closed_port()
    (tmp_path / "file").touch()
    found = await doctor(tmp_path, address, PODIUM_OUTBOX=str(tmp_path / "file" / "outbox"))
    assert findings(found)["outbox"][0] == "failed"
    appended(writer(outbox_folder(tmp_path / "outbox", address), "x", None), declared()).release()
    found = await doctor(tmp_path, address)
    assert findings(found)["events"] == (
        "warning",
        f"1 events wait for {address}, and no sender runs",
    )
    monkeypatch.setattr(_check_files, "TemporaryFile", lambda **_: full_disk)
    assert "No space left" in findings(await doctor(tmp_path, address))["outbox"][1]


@only_sqlite
async def test_stores(tmp_path: Path) -> None:
    """`podium doctor` accepts an intact store, and reports a file that is not a store.

    It also reports an unknown URL.
    """
    async with serving(tmp_path, auth="none") as [address]:
        good = await doctor(tmp_path, address, "--store", f"sqlite:///{tmp_path / 'podium.db'}")
    (tmp_path / "text").write_text("no store " * 1000)
    bad = await doctor(tmp_path, address, "--store", f"sqlite:///{tmp_path / 'text'}")
    unknown = await doctor(tmp_path, address, PODIUM_STORE="mysql://x")
    assert "is intact" in findings(good)["store"][1]
    assert findings(bad)["store"][0] == findings(unknown)["store"][0] == "failed"
