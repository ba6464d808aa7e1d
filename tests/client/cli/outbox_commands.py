"""Runs the commands about waiting events on a folder of outboxes, and reads what is stored."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import podium as library
import pytest
from podium._sender import FOREGROUND
from podium.cli import _syncing
from podium.v1.event_pb2 import Event
from podium_server.testing.calls import row

from tests.client.cli.shell import Outcome, podium

__all__ = ["rows", "run", "run_json", "steps"]


def run(root: Path, *arguments: str, patience: float = 60) -> Outcome:
    """Runs a command in this process.

    The command waits `patience` seconds for a server. By default, this is longer than users wait,
    because the machine may be busy.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PODIUM_OUTBOX", str(root))
        patch.setattr(_syncing, "FOREGROUND", replace(FOREGROUND, patience_seconds=patience))
        return podium(*arguments, address=None)


def run_json(root: Path, *arguments: str) -> Any:
    """Runs a command with `--json` and returns what it printed."""
    return json.loads(run(root, *arguments, "--json").out)


def steps(address: str, experiment: str) -> list[int | None]:
    """Returns the steps of the stored rows of arm `a`."""
    with library.Client(address) as client:
        return [found.step for found in client.arm(experiment, "a").evals()]


def rows(count: int) -> list[Event]:
    """Returns the events of `count` rows `val`, one per step from 0."""
    return [row("val", step, metrics={"acc": step}) for step in range(count)]
