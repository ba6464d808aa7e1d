"""No command takes a token as an argument, which other users of the machine could read."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from podium import AsyncClient
from podium.cli import _parsers
from podium.cli._connecting import command_module
from podium_server.serve import tokens

from tests.client.cli.shell import podium
from tests.server.access.serving import serving
from tests.stores import store_url

_ALLOWED = {"token revoke ID|NAME", "serve --token-limit"}
"""Arguments whose help is about tokens, and whose values are not secret."""
_SECONDS = 240
_TRAINING = """
import sys, podium
with podium.record("x", close_timeout=120):
    sys.stdin.read()
"""


def _commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yields every command and every action of a command, with its parser."""
    for name in _parsers.COMMANDS:
        parser = _parsers.command_parser(name, command_module(name))
        yield name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from ((f"{name} {each}", sub) for each, sub in action.choices.items())


def test_no_argument_is_a_token() -> None:
    """No option and no argument has a name about tokens, except two whose values are not secret."""
    found = set()
    names = set()
    for name, parser in _commands():
        names.add(name)
        for action in parser._actions:
            spelled = [*action.option_strings, str(action.metavar), action.dest]
            if any("token" in each.lower() or "secret" in each.lower() for each in spelled):
                found.add(f"{name} {(action.option_strings or [str(action.metavar)])[0]}")
    assert names >= {"serve", "token create", "sync", "record", "doctor", "whoami", "watch"}
    assert found == _ALLOWED


async def test_a_token_in_place_of_its_id(tmp_path: Path) -> None:
    """`podium token revoke` accepts the token itself. The audit log then has only its id."""
    store, audit = store_url(tmp_path), tmp_path / "audit.jsonl"
    _, boss = await asyncio.to_thread(tokens.create, store, "boss", "admin", (), None)
    async with serving(tmp_path, auth="tokens", audit=audit) as [address]:
        for where in (["--store", store, "--audit", str(audit)], ["--address", address]):
            row, token = await asyncio.to_thread(tokens.create, store, "t", "reader", (), None)
            done = await asyncio.to_thread(
                podium, "token", "revoke", token, *where, PODIUM_TOKEN=boss
            )
            assert done == (0, f"{row.id} (t) is revoked\n", "")
            lines = audit.read_text().splitlines()
            assert json.loads(lines[-1])["subject"] == {"id_or_name": row.id}
            assert token[-26:] not in audit.read_text()


@pytest.mark.slow
async def test_no_process_shows_a_token(tmp_path: Path) -> None:
    """No training process, sender or command has a token in its arguments.

    With PODIUM_TOKEN_FILE, the token is not in their environment either.
    """
    store = store_url(tmp_path)
    _, token = await asyncio.to_thread(tokens.create, store, "t", "recorder", (), None)
    file = tmp_path / "token"
    file.write_text(token)
    async with serving(tmp_path, auth="tokens") as [address]:
        async with AsyncClient(address, token=token) as client:
            await client.experiment("x").declare()
        for by_file in (True, False):
            outbox = str(tmp_path / f"outbox-{by_file}")
            given = {"PODIUM_ADDRESS": address, "PODIUM_OUTBOX": outbox}
            variables = {"PODIUM_TOKEN_FILE": str(file)} if by_file else {"PODIUM_TOKEN": token}
            await asyncio.to_thread(_check_processes, given | variables, token, by_file=by_file)


def _check_processes(variables: dict[str, str], token: str, *, by_file: bool) -> None:
    """Runs a training process and `podium watch`, and checks the arguments of their processes.

    The token is not in the arguments. With `by_file`, it is not in the environments either.
    """
    mark = f"TESTS_OF_SECRETS={os.getpid()}-{by_file}"
    inherited = {name: each for name, each in os.environ.items() if name != "PODIUM_TOKEN"}
    environment = inherited | variables | dict([mark.split("=")])
    commands = ([sys.executable, "-c", _TRAINING], [sys.executable, "-m", "podium", "watch", "x"])
    running = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        seen = _processes(mark)
        ends = time.monotonic() + _SECONDS
        while not all(any(part in each for each, _ in seen) for part in (" watch x", "_sender")):
            assert time.monotonic() < ends, seen
            time.sleep(0.05)
            seen += _processes(mark)
    finally:
        running[1].kill()
        for process in running:
            process.communicate()
    for arguments, environment_text in seen:
        assert token[-26:] not in arguments
        assert not by_file or token[-26:] not in environment_text


def _processes(mark: str) -> list[tuple[str, str]]:
    """Returns the arguments and the environment of each process with `mark` in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().replace(b"\0", b"\n").decode()
            arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            continue
        if mark in environment:
            found.append((arguments, environment))
    return found
