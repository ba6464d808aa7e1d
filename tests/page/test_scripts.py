"""Tests of the page's scripts: their size, their protobuf code and their statistics."""

import json
import math
import random
import subprocess
from pathlib import Path

import pytest
from podium.statistics import describe
from podium_server.web import page_files

_MOST_BYTES = 200_000
_HERE = Path(__file__).parent


def _node(script: str, given: str = "") -> str:
    command = ["node", str(_HERE / script)]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_size_of_the_scripts() -> None:
    """All scripts of the page together have at most 200 KB before compression."""
    scripts = {name: file for name, file in page_files().items() if name.endswith(".js")}
    assert list(scripts) == ["/page.js"]
    assert sum(len(file.content) for file in scripts.values()) <= _MOST_BYTES


def test_the_small_protobuf() -> None:
    """The page reads and writes each message of the protocol as the protobuf library does."""
    assert int(_node("compare_protobuf.mjs")) > 2_000


def test_statistics() -> None:
    """The page has the same means and intervals as `podium.statistics`."""
    numbers = random.Random(17)  # noqa: S311 - numbers for a test
    lists: list[list[float]] = [
        [numbers.gauss(size, size / 9) for _ in range(count)]
        for count in (1, 2, 3, 4, 5, 8, 30, 101)
        for size in (1e-200, 1e-12, 0.8, 3.0, 1e12, 1e200)
    ]
    lists += [[], [0.0], [2.0, 2.0, 2.0], [0.0, 0.0], [1e16, 1.0, -1e16], [0.1] * 7]
    lists += [[math.inf, 1.0], [math.inf, -math.inf], [-math.inf], [-1.0, -2.0]]
    given = json.dumps([[str(each).replace("inf", "Infinity") for each in x] for x in lists])
    found = json.loads(_node("describe_numbers.mjs", given))
    for values, page in zip(lists, found, strict=True):
        own = describe(values)
        expected = {"n": own.n, "mean": own.mean, "ciLow": own.ci_low, "ciHigh": own.ci_high}
        expected |= {"min": own.min, "max": own.max}
        assert page.keys() <= expected.keys()
        for key, value in expected.items():
            if value is None:
                assert page.get(key) is None, (values, key)
                continue
            scale = max(map(abs, values), default=1.0)
            close = pytest.approx(value, rel=1e-9, abs=1e-12 * scale)
            assert float(page[key]) == close, (values, key)
