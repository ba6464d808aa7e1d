"""The audit log: a JSON object in each line, for calls that change rights or remove results.

The log has every call that creates, lists or revokes tokens, or that deletes or replaces results.
Such a call is answered when its line is on disk, or after 5 seconds. If the disk is full, the call
is answered, and the lost lines are counted. The log also has a sample of the calls that were
rejected for lack of rights. It never contains a token.
"""

import asyncio
import contextlib
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from podium._values.tokens import ids_for_tokens

from podium_server.api.callers import CALLER
from podium_server.store.tokens import Role

__all__ = ["Audit", "AuditError", "AuditedCall"]

_log = logging.getLogger(__name__)

_MOST_WAITING = 10_000
"""The most lines that wait for the disk. Further lines are lost, and counted."""
_REFUSALS = 100
"""The most rejected calls that are written in a minute."""
_ROLES = {role.value: role.name for role in Role}
_DENIED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
_SYNC_SECONDS = 5.0
"""The longest time for which a call waits for the disk."""


class AuditError(Exception):
    """The audit log cannot be opened."""


class AuditedCall:
    """A call, and the facts about it for the audit log.

    Attributes:
        method: The full name of the method.
        peer: The address of the client.
        subject: The names in the request. None if the log leaves out the call when it succeeds.
        hidden_name: The experiment of the request, if the caller may not know that it exists.
    """

    __slots__ = ("hidden_name", "method", "peer", "subject")

    def __init__(self, method: str, peer: str) -> None:
        self.method = method
        self.peer = peer
        self.subject: Mapping[str, Any] | None = None
        self.hidden_name: str | None = None

    def note_request(self, request: Message) -> None:
        """Stores the names in a request, unless the log has only rejected calls of this method."""
        describe = _SUBJECTS.get(self.method)
        if describe is not None:
            self.subject = describe(request)


def _fields(*names: str) -> Callable[[Any], Mapping[str, Any]]:
    return lambda request: {name: getattr(request, name) for name in names}


def _replaced(request: Any) -> Mapping[str, Any] | None:
    """Describes a Record call that replaces arms or declared fields. Else returns None."""
    if request.validate_only:
        return None
    arms = [
        event.arm_recorded.arm_result.name
        for event in request.events
        if event.HasField("arm_recorded") and event.arm_recorded.replace
    ]
    overwrites = any(
        event.HasField("experiment_declared")
        and (event.experiment_declared.overwrite or bool(event.experiment_declared.clear_fields))
        for event in request.events
    )
    if not (arms or overwrites):
        return None
    replaced = {"replaced_arms": arms[:100]} if arms else {}
    return {"experiment": request.experiment, **replaced, "overwrites": overwrites}


def _created(request: Any) -> Mapping[str, Any]:
    role = _ROLES.get(request.role, str(request.role))
    return {"name": request.name, "role": role, "prefixes": list(request.prefixes)[:100]}


_SUBJECTS: Mapping[str, Callable[[Any], Mapping[str, Any] | None]] = {
    "podium.v1.RecordingService.Record": _replaced,
    "podium.v1.RecordingService.DeleteArm": _fields("experiment", "arm"),
    "podium.v1.RecordingService.DeleteExperiment": _fields("experiment"),
    "podium.v1.AccessService.CreateToken": _created,
    "podium.v1.AccessService.ListTokens": _fields(),
    "podium.v1.AccessService.RevokeToken": _fields("id_or_name"),
}


class Audit:
    """Writes the log in a thread. If the file is renamed, as by logrotate, begins a new file.

    Args:
        path: The file.

    Attributes:
        lost: The number of lines that were lost, because the disk was too slow or full.

    Raises:
        AuditError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.lost = 0
        self._reported = 0
        self._is_cut = False
        self._waiting: queue.Queue[tuple[str, Callable[[], None]] | None] = queue.Queue(
            _MOST_WAITING
        )
        self._minute, self._refusals = 0.0, 0
        self._path, self._is_new = path, not path.exists()
        before = os.umask(0o077)
        try:
            self._file = WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            raise AuditError(f"cannot write the audit log {path}: {error.strerror}") from error
        finally:
            os.umask(before)
        self._thread = threading.Thread(target=self._run, name="podium-audit", daemon=True)
        self._thread.start()

    async def note(self, call: AuditedCall, code: str, reason: str) -> None:
        """Writes a line for a call that has ended, unless the log leaves out calls of this kind.

        For a call with a `subject`, returns when the line is on disk, or after 5 seconds. For other
        calls, returns at once. If too many lines wait for the disk, the line is lost.
        """
        is_change = call.subject is not None
        is_denied = code in _DENIED or call.hidden_name is not None
        if not is_change and not (is_denied and self._is_sampled()):
            return
        line = _line(call, code, reason)
        loop, written = asyncio.get_running_loop(), asyncio.Event()

        def done() -> None:
            loop.call_soon_threadsafe(written.set)

        try:
            self._waiting.put_nowait((line, done if is_change else lambda: None))
        except queue.Full:
            self.lost += 1
            return
        if is_change:
            try:
                async with asyncio.timeout(_SYNC_SECONDS):
                    await written.wait()
            except TimeoutError:
                _log.error("the audit log takes longer than %s s to write", _SYNC_SECONDS)

    def gauges(self) -> Mapping[str, float]:
        """Returns metrics by name, for monitoring."""
        return {"audit_lost_total": self.lost}

    def close(self) -> None:
        """Writes the waiting lines, and closes the file."""
        self._waiting.put(None)
        self._thread.join()
        self._file.close()

    def discard(self) -> None:
        """Closes the file, and removes it if this object has created it and it has no lines."""
        self.close()
        if self._is_new and not self._path.stat().st_size:
            self._path.unlink()

    def _is_sampled(self) -> bool:
        """Returns whether one more rejected call may be written in this minute."""
        minute = _minute()
        if minute != self._minute:
            self._minute, self._refusals = minute, 0
        self._refusals += 1
        return self._refusals <= _REFUSALS

    def _run(self) -> None:
        while True:
            items = [self._waiting.get()]
            while not self._waiting.empty():
                items.append(self._waiting.get())
            batch = [item for item in items if item is not None]
            self._write([line for line, _ in batch])
            for _, done in batch:
                with contextlib.suppress(RuntimeError):  # the event loop may have ended
                    done()
            if len(batch) < len(items):
                return

    def _write(self, lines: list[str]) -> None:
        """Writes lines to disk. If lines were lost, first writes a line with their number."""
        unreported = self.lost - self._reported
        count = [json.dumps({"time": _now(), "lost": unreported})] if unreported else []
        # The last line of a failed write may be incomplete.
        start = "\n" if self._is_cut else ""
        try:
            self._file.reopenIfNeeded()
            _append(self._file, start + "".join(f"{line}\n" for line in (*count, *lines)))
        except OSError as error:
            self._is_cut = True
            self.lost += len(lines)
            _log.error("%d lines of the audit log are lost: %s", len(lines), error)
            return
        self._is_cut = False
        self._reported += unreported


def _append(file: WatchedFileHandler, text: str) -> None:
    """Writes text to disk without a buffer. So no text remains in memory if the disk is full."""
    descriptor = file.stream.fileno()  # type: ignore[union-attr]  # it is open
    rest = memoryview(text.encode())
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _line(call: AuditedCall, code: str, reason: str) -> str:
    caller = CALLER.get(None)
    token = None if caller is None else caller.token
    who = {} if token is None else {"id": token.id, "name": token.name, "role": token.role.name}
    line = json.dumps(
        {
            "time": _now(),
            "method": call.method,
            "token": who,
            "peer": call.peer,
            "code": code,
            "reason": reason,
            "subject": call.subject or {},
            **({} if call.hidden_name is None else {"hidden_experiment": call.hidden_name}),
        }
    )
    # A caller may have sent a token in place of a name.
    return ids_for_tokens(line)


def _minute() -> float:
    return time.monotonic() // 60


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
