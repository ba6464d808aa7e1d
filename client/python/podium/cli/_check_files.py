"""Checks the files on this machine for `podium doctor`: outboxes, and a store."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from podium._outbox import default_root, outboxes
from podium.cli._connecting import server_module
from podium.cli._exits import CommandError
from podium.cli._findings import Finding, failed, ok, warning
from podium.cli._outboxes import OutboxView, view_of

__all__ = ["check_outbox", "check_store"]

_LITTLE, _TOO_LITTLE = 1 << 30, 64 << 20
"""If a disk has fewer free bytes, a check warns (first number) or fails (second number)."""
_PROBE_BYTES = 64 * 1024


def check_outbox(root: Path | None) -> Iterator[Finding]:
    """Yields the findings about the folder of outboxes, its disk, and the events in it."""
    try:
        root = root or default_root()
        folder = _existing(root)
        with TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(bytes(_PROBE_BYTES))
            os.fsync(probe.fileno())
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "free some space, or" if full else "make it writable, or"
        text = f"{root or 'the default folder'} cannot be written: {error.strerror or error}"
        yield failed("outbox", text, f"{remedy} set PODIUM_OUTBOX to another folder")
        return
    yield _space("outbox", folder, f"{root} is writable", 0)
    problems = [finding for outbox in outboxes(root) for finding in _events(outbox)]
    yield from problems or [
        ok("events", "no events are waiting: every recorded event has been delivered")
    ]


def _existing(folder: Path) -> Path:
    """Returns the folder if it exists, else the nearest parent that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def _space(check: str, folder: Path, text: str, least: int) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{text}; {free / (1 << 30):,.1f} GiB of its disk are free"
    if free < _TOO_LITTLE:
        return failed(check, text, "free some space")
    return (
        warning(check, text, "free some space") if free < max(_LITTLE, least) else ok(check, text)
    )


def _events(outbox: Path) -> Iterator[Finding]:
    try:
        view = view_of(outbox)
    except CommandError as error:
        yield failed("events", str(error), "keep the folder, and see the log of the sender in it")
        return
    for folder, why in view.damaged.items():
        yield failed("events", f"{folder} cannot be read: {why}", "keep the folder for an analysis")
    if view.rejected:
        text = f"the server has rejected {view.rejected:,} events for {view.address}"
        yield warning("events", text, "`podium outbox` shows why; `podium outbox retry` sends them")
    if view.waiting:
        yield _waiting(view)


def _waiting(view: OutboxView) -> Finding:
    text = f"{view.waiting:,} events wait for {view.address}"
    if not view.is_sending:
        return warning("events", f"{text}, and no sender runs", "deliver them with `podium sync`")
    why = next((stream.why for stream in view.streams if stream.why), "")
    if why:
        remedy = "solve this problem; then the sender delivers the events"
        return warning("events", f"{text}: {why}", remedy)
    return ok("events", f"{text}, and are being delivered")


def check_store(url: str) -> Iterator[Finding]:
    """Yields the findings about a store on this machine."""
    try:
        stores = server_module("podium_server.store.open")
        contract = server_module("podium_server.store.contract")
        try:
            path: Path = stores.store_file(url)
            faults: list[str] = stores.check_store(url)
        except contract.StoreError as error:
            yield failed("store", str(error), "correct --store or PODIUM_STORE")
            return
    except CommandError as error:
        yield warning("store", f"{url} is not checked", str(error))
        return
    for fault in faults:
        yield failed("store", f"{path}: {fault}", "stop the server, and restore a backup")
    if not faults:
        # A backup, and the log of a large transaction, can each be as large as the store.
        yield _space("store", path.parent, f"{path} is intact", path.stat().st_size)
