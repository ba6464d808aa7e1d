"""Tests of the audit log: who changed tokens or removed results, and whose calls were rejected."""

import asyncio
import errno
import json
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import podium
import pytest
from podium._values.tokens import new_token, token_id
from podium_server.rpc import audit
from podium_server.rpc.audit import Audit, AuditedCall, AuditError
from podium_server.serve import tokens

from tests.server.access.serving import serving
from tests.stores import store_url

_SECONDS = 30
_DELETE = "podium.v1.RecordingService.DeleteArm"


class Served(NamedTuple):
    """A server with an audit log, and the token of an administrator."""

    url: str
    address: str
    log: Path
    admin: str

    def lines(self) -> list[dict[str, Any]]:
        """Returns the lines of the log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Yields a server that writes an audit log."""
    url, log = store_url(tmp_path), tmp_path / "audit.jsonl"
    _, admin = await asyncio.to_thread(tokens.create, url, "root", "admin", (), None)
    async with serving(tmp_path, auth="tokens", audit=log) as [address]:
        yield Served(url, address, log, admin)


async def test_changes_are_in_the_log_before_they_are_answered(served: Served) -> None:
    """Calls about tokens, and calls that delete or replace results, are logged before the answer.

    Other successful calls are not logged. A line says who made the call, and from where, and
    contains no secret of a token.
    """
    async with podium.AsyncClient(served.address, token=served.admin) as client:
        experiment = client.experiment("x")
        await experiment.declare()
        result = podium.ArmResult("a", podium.RunConfig("a"), "failed")
        await experiment.record_arm(result)
        replacing = [podium.events.arm_recorded(result, replace=True)]
        await client.record("x", replacing, validate_only=True)
        assert served.lines() == []
        await experiment.record_arm(result, replace=True)
        assert served.lines()[-1]["subject"] == {
            "experiment": "x",
            "replaced_arms": ["a"],
            "overwrites": False,
        }
        await experiment.declare(clear_fields=["tags"])
        assert served.lines()[-1]["subject"] == {"experiment": "x", "overwrites": True}
        await experiment.arm("a").delete()
        assert served.lines()[-1]["subject"] == {"experiment": "x", "arm": "a"}
        issued = await client.create_token("t", "reader", prefixes=["p"])
        last = served.lines()[-1]
        assert last["subject"] == {"name": "t", "role": "READER", "prefixes": ["p"]}
        await client.revoke_token("t")
        assert len([token async for token in client.tokens()]) == 2
        assert [line["method"].rpartition(".")[2] for line in served.lines()] == [
            "Record",
            "Record",
            "DeleteArm",
            "CreateToken",
            "RevokeToken",
            "ListTokens",
        ]
    identity = {"id": token_id(served.admin), "name": "root", "role": "ADMIN"}
    assert last["token"] == identity
    assert (last["code"], last["reason"]) == ("OK", "")
    assert last["peer"].startswith("ipv4:127.0.0.1:")
    text = served.log.read_text()
    assert issued.secret[20:] not in text
    assert served.admin[20:] not in text
    assert served.log.stat().st_mode & 0o077 == 0


async def test_refusals_are_in_the_log(served: Served) -> None:
    """Calls with an unknown token, a too low role or a hidden experiment are logged.

    The log does not contain the unknown token.
    """
    guess = new_token().text
    created = tokens.create
    _, reader = await asyncio.to_thread(created, served.url, "r", "reader", ("team",), None)
    for token in (guess, reader):
        async with podium.AsyncClient(served.address, token=token) as client:
            with pytest.raises((podium.UnauthenticatedError, podium.PermissionDeniedError)):
                await client.experiment("team/x").delete()
    async with podium.AsyncClient(served.address, token=reader) as client:
        with pytest.raises(podium.NotFoundError):
            await client.experiment("other/x").get()
    async with podium.AsyncClient(served.address, token=served.admin) as client:
        await client.revoke_token("nobody")  # once it is answered, all lines before it are on disk
    unknown, too_low, hidden, _ = served.lines()
    assert (unknown["reason"], unknown["token"]) == ("TOKEN_INVALID", {})
    assert (too_low["reason"], too_low["token"]["name"]) == ("ROLE_TOO_LOW", "r")
    assert hidden["hidden_experiment"] == "other/x"
    assert guess[15:] not in served.log.read_text()


async def test_a_renamed_log_is_begun_again(served: Served) -> None:
    """If the log is renamed, the next line goes to a new file. So logrotate needs no signal."""
    async with podium.AsyncClient(served.address, token=served.admin) as client:
        await client.revoke_token("a")
        moved = served.log.rename(served.log.with_suffix(".1"))
        await client.revoke_token("b")
    assert [line["subject"] for line in served.lines()] == [{"id_or_name": "b"}]
    assert len(moved.read_text().splitlines()) == 1


async def test_lost_lines_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full, a call is answered, but its line is lost.

    The gauge counts the lost lines. The next line that can be written has their number.
    """
    log = Audit(tmp_path / "log")
    call = AuditedCall(_DELETE, "p")
    call.subject = {"arm": "a"}

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("podium_server.rpc.audit.os.write", full)
        await log.note(call, "OK", "")
        await log.note(call, "OK", "")
    assert log.gauges() == {"audit_lost_total": 2}
    await log.note(call, "OK", "")
    await asyncio.to_thread(log.close)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line]
    assert [line.get("lost") for line in lines] == [2, None]


async def test_refusals_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 rejected calls within one minute, only 100 are logged."""
    monkeypatch.setattr(audit, "_minute", lambda: 1.0)
    log = Audit(tmp_path / "log")
    for _ in range(500):
        await log.note(AuditedCall(_DELETE, "p"), "UNAUTHENTICATED", "TOKEN_INVALID")
    await asyncio.to_thread(log.close)
    assert len((tmp_path / "log").read_text().splitlines()) == 100


@pytest.mark.parametrize("folder", [".", "missing"])
def test_the_files_of_others_keep_their_modes(tmp_path: Path, folder: str) -> None:
    """Opening a log leaves the umask of the process unchanged, even if it fails.

    So files that other code creates get their usual modes.
    """
    before = os.umask(0o027)
    try:
        with suppress(AuditError):
            Audit(tmp_path / folder / "log").close()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_log_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """If the log cannot be opened, the error names the file and the cause."""
    with pytest.raises(AuditError, match=r"cannot write the audit log .*gone.*No such file"):
        Audit(tmp_path / "gone" / "log")


async def test_local_changes_of_tokens_are_in_the_log(served: Served) -> None:
    """If tokens are changed in the store without the server, the user's id is logged.

    If the log cannot be written, no token is created.
    """

    def change() -> None:
        local = tokens.LocalTokens(served.url, served.log)
        issued = local.create_token("t", "reader", prefixes=("team",))
        local.revoke_token("t")
        missing = tokens.LocalTokens(served.url, served.log / "missing")
        with pytest.raises(tokens.StoreError, match="cannot write the audit log"):
            missing.create_token("u", "reader")
        assert [token.name for token in local.tokens()] == ["root", "t"]
        assert issued.secret[20:] not in served.log.read_text()

    def threads() -> int:
        return [thread.name for thread in threading.enumerate()].count("podium-audit")

    before = threads()
    await asyncio.to_thread(change)
    assert threads() == before
    created, revoked = served.lines()
    assert created["method"] == "podium.v1.AccessService.CreateToken"
    assert created["subject"] == {"name": "t", "role": "READER", "prefixes": ["team"]}
    assert (revoked["peer"], revoked["token"]) == (f"local:uid={os.getuid()}", {})
    assert revoked["subject"] == {"id_or_name": "t"}


def _changing(name: str) -> AuditedCall:
    """Returns a call that deletes the arm `name`."""
    call = AuditedCall(_DELETE, "p")
    call.subject = {"arm": name}
    return call


async def test_no_line_has_a_token(tmp_path: Path) -> None:
    """If a call has a token in place of a name, the log contains only the token's id."""
    log, token = Audit(tmp_path / "log"), new_token()
    await log.note(_changing(token.text), "OK", "")
    await asyncio.to_thread(log.close)
    assert json.loads((tmp_path / "log").read_text())["subject"] == {"arm": token.id}


async def test_a_change_is_synced_before_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When `note` returns, the line of a change has been synced to disk."""
    synced: list[str] = []
    log = Audit(tmp_path / "log")
    monkeypatch.setattr(os, "fsync", lambda _file: synced.append((tmp_path / "log").read_text()))
    await log.note(_changing("a"), "OK", "")
    assert json.loads(synced[0])["subject"] == {"arm": "a"}
    await asyncio.to_thread(log.close)


async def test_the_line_after_one_that_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk takes only a part of a line, the next one still begins on a new line.

    After each loss, the log gets a line with the number of lost lines. The gauge has the total.
    """
    log, write = Audit(tmp_path / "log"), os.write

    def half(file: int, text: memoryview) -> int:
        if len(text) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, text[:-10])

    for name in ("a", "b"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            await log.note(_changing("lost"), "OK", "")
        await log.note(_changing(name), "OK", "")
    await asyncio.to_thread(log.close)
    assert log.gauges() == {"audit_lost_total": 2}
    whole = [line for line in (tmp_path / "log").read_text().splitlines() if line.endswith("}")]
    found = [json.loads(line) for line in whole]
    assert [(line.get("lost"), line.get("subject")) for line in found] == [
        (1, None),
        (None, {"arm": "a"}),
        (1, None),
        (None, {"arm": "b"}),
    ]


async def test_each_minute_has_its_own_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each minute, 100 rejected calls are logged, even after many in the minute before."""
    minute = [1.0]
    monkeypatch.setattr(audit, "_minute", lambda: minute[0])
    log = Audit(tmp_path / "log")
    for reason in ("first", "second"):
        for _ in range(150):
            await log.note(AuditedCall(_DELETE, "p"), "PERMISSION_DENIED", reason)
        minute[0] += 1
    await asyncio.to_thread(log.close)
    lines = [json.loads(line)["reason"] for line in (tmp_path / "log").read_text().splitlines()]
    assert Counter(lines) == {"first": 100, "second": 100}


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_start_that_fails_leaves_no_empty_log(tmp_path: Path, *, is_new: bool) -> None:
    """If a start fails, it removes an empty log that it has created, and no other log."""
    path = tmp_path / "log"
    if not is_new:
        path.touch()
    Audit(path).discard()
    assert path.exists() == (not is_new)
    written = Audit(path)
    await written.note(_changing("a"), "OK", "")
    await asyncio.to_thread(written.discard)
    assert path.exists()


async def test_a_local_change_that_fails_is_not_logged(served: Served) -> None:
    """A change of tokens without the server is not logged if it fails.

    If a token is created without the server, its expiry keeps its microseconds.
    """
    local = tokens.LocalTokens(served.url, served.log)
    with pytest.raises(podium.InvalidArgumentError):
        await asyncio.to_thread(local.create_token, "", "reader")
    assert served.lines() == []
    end = datetime(2999, 1, 2, 3, 4, 5, 125_500, tzinfo=UTC)
    issued = await asyncio.to_thread(local.create_token, "t", "reader", expire_time=end)
    assert issued.token.expire_time == end


async def test_a_slow_disk_delays_calls_for_a_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the disk is slow, a call is answered after a time limit, before its line is on disk.

    Lines for which the queue has no room are lost, and the log has their number.
    """
    monkeypatch.setattr(audit, "_SYNC_SECONDS", 0.01)
    monkeypatch.setattr(audit, "_MOST_WAITING", 1)
    began, goes_on = threading.Event(), threading.Event()

    def sync(_file: int) -> None:
        began.set()
        goes_on.wait(_SECONDS)

    monkeypatch.setattr(os, "fsync", sync)
    log = Audit(tmp_path / "log")
    await log.note(_changing("a"), "OK", "")
    assert began.wait(_SECONDS)
    for name in ("b", "c", "d"):
        await log.note(_changing(name), "OK", "")
    assert log.gauges() == {"audit_lost_total": 2}
    assert ["takes longer than 0.01 s" in text for text in caplog.messages] == [True, True]
    goes_on.set()
    await asyncio.to_thread(log.close)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    found = [(line.get("lost"), line.get("subject")) for line in lines]
    assert found == [(None, {"arm": "a"}), (2, None), (None, {"arm": "b"})]
