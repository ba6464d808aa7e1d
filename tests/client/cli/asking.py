"""Runs commands that read results, and returns what they print."""

import json
import re
from typing import Any

import pytest

from tests.client.cli.shell import podium

__all__ = ["TIME", "read", "shown"]

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


def shown(*arguments: str, address: str) -> str:
    """Returns what a command prints, with `TIME` in the place of each time."""
    done = podium(*arguments, address=address)
    assert (done.code, done.err) == (0, "")
    return TIME.sub("TIME", done.out)


def read(*arguments: str, address: str) -> Any:
    """Returns what a command prints with `--json`, read as strict JSON."""
    done = podium(*arguments, "--json", address=address)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out, parse_constant=pytest.fail)
