"""Tests that no file that a sender writes contains a token."""

import asyncio
import logging
from pathlib import Path

import podium
import pytest
from podium._outbox import outbox_folder
from podium._sender.sender import FOREGROUND, Sender
from podium_server.serve import tokens
from podium_server.testing.calls import declared

from tests.client.sender.outboxes import appended, writer
from tests.server.access.serving import serving
from tests.stores import store_url


def _files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def test_no_file_has_a_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The outbox, the store, the audit log and all logs do not contain the token."""
    caplog.set_level(logging.DEBUG)
    _, token = await asyncio.to_thread(
        tokens.create, store_url(tmp_path), "t", "recorder", (), None
    )
    audit = tmp_path / "audit.jsonl"
    async with (
        serving(tmp_path, auth="tokens", audit=audit) as [address],
        podium.AsyncClient(address, token=token) as client,
    ):
        outbox = outbox_folder(tmp_path / "outbox", address)
        appended(writer(outbox, "x", None), declared(overwrite=True)).release()
        before = _files(tmp_path)
        await Sender([outbox], client, FOREGROUND).run()
        files = _files(tmp_path)
    assert [file for file in before if file.is_relative_to(outbox)]
    assert b"podium.v1.RecordingService.Record" in files[audit]
    secret = token[-26:].encode()
    assert [file for each in (before, files) for file in each if secret in each[file]] == []
    assert token[-26:] not in caplog.text
