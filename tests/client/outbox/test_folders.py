"""Tests of the folders of outboxes: their places, their permissions and their descriptions."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from podium._outbox import (
    RejectedEvent,
    StreamReader,
    UnknownFormatError,
    default_root,
    new_writer_id,
    outbox_address,
    outbox_folder,
    outboxes,
    streams,
)

from tests.client.outbox.places import ADDRESS, all_of, new_outbox, new_writer


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_folders_and_files_are_private(tmp_path: Path, mask: int) -> None:
    """Every folder of an outbox has the mode 0700, and every file 0600, whatever the umask is."""
    with _umask(mask):
        writer = new_writer(new_outbox(tmp_path))
        writer.append(b"x" * 3_000)
        writer.prepare()
        writer.append(b"x" * 3_000)
        reader = StreamReader(writer.folder)
        assert len(all_of(reader)) == 2
        reader.reject(RejectedEvent(2, "STALE_ATTEMPT", "a newer attempt", 1.0, b"event"))
        reader.note_delivered(2)
        writer.close()
    made = [tmp_path / "outbox", *(tmp_path / "outbox").rglob("*")]
    assert {_mode(path) for path in made if path.is_dir()} == {0o700}
    assert {_mode(path) for path in made if path.is_file()} == {0o600}
    names = {path.name for path in made if path.is_file()}
    assert names == {
        "00000001.segment",
        "00000002.segment",
        "rejected.jsonl",
        "closed",
        "delivered",
        "lock",
        "outbox.json",
        "stream.json",
    }


def test_folders_become_private_again(tmp_path: Path) -> None:
    """An outbox that was made readable for others becomes private again when it is next used."""
    outbox = new_outbox(tmp_path)
    outbox.chmod(0o755)
    assert new_outbox(tmp_path) == outbox
    assert _mode(outbox) == 0o700


def test_an_existing_root_keeps_its_mode(tmp_path: Path) -> None:
    """A root that a user made keeps its mode. The folders that Podium makes in it are private."""
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o755)
    outbox_folder(root, ADDRESS)
    assert _mode(root) == 0o755
    assert [_mode(path) for path in root.iterdir()] == [0o700]


def test_the_folder_of_another_user_is_rejected(tmp_path: Path) -> None:
    """An outbox that belongs to another user is rejected. The error says to set PODIUM_OUTBOX."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    outbox = new_outbox(tmp_path)
    os.chown(outbox, 12_345, 12_345)
    with pytest.raises(PermissionError, match="set PODIUM_OUTBOX to a folder of your own"):
        new_outbox(tmp_path)


def test_each_server_has_its_outbox(tmp_path: Path) -> None:
    """Each address has an outbox of its own.

    The outbox's name resembles the address, and a file in the outbox contains the address.
    """
    addresses = ["localhost:50051", "localhost-50051", "unix:/run/podium.sock", "[::1]:50051", ""]
    folders = [outbox_folder(tmp_path, address) for address in addresses]
    assert len(set(folders)) == 5
    assert [outbox_address(folder) for folder in folders[:4]] == addresses[:4]
    assert folders[0].name.startswith("localhost-50051-")
    assert folders[2].name.startswith("unix-run-podium.sock-")
    assert outboxes(tmp_path) == sorted(folders)
    assert outboxes(folders[0].parent) == sorted(folders)
    assert outboxes(folders[0]) == [folders[0]]
    assert outboxes(tmp_path / "nothing") == []


def test_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outboxes are in PODIUM_OUTBOX, or else in the user's folder for state.

    A relative path is made absolute.
    """
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.delenv("PODIUM_OUTBOX", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_root() == Path("/somebody/.local/state/podium/outbox")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_root() == Path("/state/podium/outbox")
    monkeypatch.setenv("PODIUM_OUTBOX", "~/outbox")
    assert default_root() == Path("/somebody/outbox")
    monkeypatch.chdir(tmp_path)
    assert outbox_folder(Path("here"), ADDRESS).parents[1] == tmp_path / "here"


def test_an_outbox_of_a_newer_version_is_neither_read_nor_written(tmp_path: Path) -> None:
    """An outbox with the format of a newer version is neither read nor overwritten."""
    outbox = new_outbox(tmp_path)
    later = '{\n "format": 2,\n "address": "x",\n "crc32": 3980976864\n}\n'
    (outbox / "outbox.json").write_text(later)
    with pytest.raises(UnknownFormatError, match=r"has format 2, but this version .* reads 1"):
        outbox_address(outbox)
    with pytest.raises(UnknownFormatError):
        new_outbox(tmp_path)
    assert (outbox / "outbox.json").read_text() == later


def test_writer_ids_are_unique_and_sort_by_time() -> None:
    """Writer IDs are unique. Each one has the second of its creation and the ID of its process."""
    written = [new_writer_id() for _ in range(1_000)]
    assert len(set(written)) == 1_000
    pattern = rf"20\d{{6}}T\d{{6}}-{os.getpid()}-[0-9a-f]{{16}}"
    assert all(re.fullmatch(pattern, writer_id) for writer_id in written)


def test_other_files_in_an_outbox_are_no_streams(tmp_path: Path) -> None:
    """Logs, hidden folders and links in an outbox are not listed as streams."""
    outbox = new_outbox(tmp_path)
    writer = new_writer(outbox)
    (outbox / "sender.log").touch()
    (outbox / ".hidden").mkdir()
    (outbox / "link").symlink_to(tmp_path)
    assert streams(outbox) == [writer.folder]
