"""Starts the runner of a language: a process that answers each line on its standard input."""

import json
import os
import queue
import subprocess
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from podium.errors import PodiumError, RefusedEvent, error_class_for
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse

from tests.conformance.languages import PROJECT, Language
from tests.server.writes.ways import METHODS

__all__ = ["Runner", "RunnerError", "running"]

_ANSWER_SECONDS = 120
_STOP_SECONDS = 20
_TAIL = 4_000


class RunnerError(Exception):
    """The runner has ended, or has printed a line that is not an answer."""


class Runner:
    """Asks the runner of a language. The first request starts it."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - see close
        self._failure: RunnerError | None = None

    def ask(self, way: str, call: str, request: Message, **more: str | int) -> Message:
        """Returns the response to a call.

        Args:
            way: How the runner gets the answer: see README.md.
            call: The name of the rpc.
            request: Its request.
            more: Further fields: the `address` of the server, the `arm`, or `timeout_ms`, which is
                the deadline of a read.

        Raises:
            PodiumError: The client raised this error.
            RunnerError: The runner has ended, or has printed a line that is not an answer. All
                later requests raise the same error.
        """
        asked = {"way": way, "call": call, "request": encoded(request), **more}
        try:
            answer = self._answer(json.dumps(asked))
            response = _response(answer, call)
        except RunnerError as error:
            # Later answers could be those to earlier requests.
            self._failure = error
            raise
        if response is None:
            raise _error(answer["error"])
        return response

    def ask_watch(
        self, request: WatchRequest, *, address: str, take: int
    ) -> tuple[list[WatchResponse], PodiumError | None]:
        """Returns the updates that the client's watch yields, and the error that ends it.

        Args:
            request: What to watch.
            address: The server.
            take: The number of updates after which the client stops. 0 means that it does not stop.
        """
        asked = {"way": "client", "call": "Watch", "request": encoded(request), "address": address}
        answer = self._answer(json.dumps({**asked, "take": take}))
        try:
            updates = [WatchResponse.FromString(b64decode(one)) for one in answer["responses"]]
        except (KeyError, ValueError, TypeError, DecodeError) as error:
            self._failure = RunnerError(f"not the answer of a watch: {answer}")
            raise self._failure from error
        return updates, _error(answer["error"]) if "error" in answer else None

    def ask_arm(self, arm: ArmResult, call: str, request: Message) -> Message:
        """Returns the answer of the client's functions for an arm in memory: see `ask`."""
        return self.ask("pure", call, request, arm=encoded(arm))

    def close(self) -> None:
        """Ends the runner."""
        if self._process is not None:
            assert self._process.stdin
            try:
                self._process.stdin.close()
                self._process.wait(0 if self._failure else _STOP_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
        self._errors.close()

    def _answer(self, asked: str) -> dict[str, Any]:
        if self._failure is not None:
            raise self._failure
        process = self._process or self._start()
        assert process.stdin
        try:
            process.stdin.write(asked + "\n")
            process.stdin.flush()
            line = self._lines.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            raise RunnerError(f"no answer within {_ANSWER_SECONDS} s") from None
        except OSError:
            line = ""
        if not line:
            raise RunnerError(self._ended(process))
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RunnerError(f"not an answer: {line.strip()}")
        return answer

    def _start(self) -> subprocess.Popen[str]:
        path = f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        try:
            self._process = subprocess.Popen(
                self._language.runner,
                cwd=self._language.path,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise RunnerError(str(error)) from error
        threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
        return self._process

    def _ended(self, process: subprocess.Popen[str]) -> str:
        code = process.wait(_STOP_SECONDS)
        self._errors.seek(0)
        return f"the runner ended with {code}: {self._errors.read()[-_TAIL:].strip()}"


def _read(process: subprocess.Popen[str], lines: "queue.SimpleQueue[str]") -> None:
    """Reads the lines that a runner prints, and an empty line at the end."""
    assert process.stdout
    with process.stdout as printed:
        for line in printed:
            lines.put(line)
    lines.put("")


@contextmanager
def running(language: Language) -> Iterator[Runner]:
    """Runs the runner of a language within the block."""
    runner = Runner(language)
    try:
        yield runner
    finally:
        runner.close()


def encoded(message: Message) -> str:
    """Returns the bytes of a message as base64."""
    return b64encode(message.SerializeToString()).decode()


def _response(answer: dict[str, Any], call: str) -> Message | None:
    """Returns the response in an answer, or None if the answer is an error."""
    if "error" in answer:
        return None
    response: Message = GetMessageClass(METHODS[call].output_type)()
    try:
        response.ParseFromString(b64decode(answer["response"]))
    except (KeyError, ValueError, TypeError, DecodeError) as error:
        raise RunnerError(f"not an answer: {answer}") from error
    return response


def _error(said: Any) -> PodiumError:
    """Returns the exception for an error that a runner has printed."""
    refusals = [RefusedEvent(**refusal) for refusal in said.get("refusals", [])]
    error = error_class_for(said["code"])(
        said["message"],
        reason=said.get("reason", ""),
        metadata=said.get("metadata", {}),
        refusals=refusals,
    )
    error.code = said["code"]
    return error
