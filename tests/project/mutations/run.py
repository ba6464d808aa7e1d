"""Proves that the tests see defects: applies each listed defect to a copy and expects red.

    python tests/project/mutations/run.py [SUBJECT ...]

A subject is a file SUBJECT.toml beside this script: the
tests that must turn red, and the mutations, each a text that occurs once in a file and what
takes its place. Without a defect the tests must be green; a text that is not found once, a
test that can't be collected and a run that hangs are failures too.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutation", "load", "main", "mutated"]

_FOLDER = Path(__file__).parent
_PROJECT = _FOLDER.parents[2]
_PACKAGES = ("client/python/podium", "server/podium_server")
_OUTCOMES = {0: "green", 1: "red"}
_SECONDS = 120


@dataclass(frozen=True)
class Mutation:
    """One defect; `before` is empty for none."""

    subject: str
    tests: tuple[str, ...]
    name: str
    file: str = ""
    before: str = ""
    after: str = ""

    @property
    def expected(self) -> str:
        """What the tests must turn."""
        return "red" if self.before else "green"


def load(subject: str) -> Iterator[Mutation]:
    """The mutations of a subject, and before them none."""
    listed = tomllib.loads((_FOLDER / f"{subject}.toml").read_text(encoding="utf-8"))
    tests = tuple(listed["tests"])
    yield Mutation(subject, tests, "no defect")
    for item in listed["mutations"]:
        yield Mutation(subject, tests, **item)


def mutated(mutation: Mutation) -> str:
    """The text of the file with the defect in it.

    Raises:
        ValueError: The text to replace does not occur exactly once.
    """
    text = (_PROJECT / mutation.file).read_text(encoding="utf-8")
    if text.count(mutation.before) != 1:
        times = text.count(mutation.before)
        raise ValueError(f"{mutation.name!r}: its text occurs {times} times in {mutation.file}")
    return text.replace(mutation.before, mutation.after)


def _outcome(mutation: Mutation) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _copy(Path(folder), mutation)
        return _run(Path(folder), mutation.tests)


def _copy(folder: Path, mutation: Mutation) -> None:
    for package in _PACKAGES:
        copy = folder / Path(package).name
        shutil.copytree(_PROJECT / package, copy)
        if mutation.file.startswith(f"{package}/"):
            file = copy / Path(mutation.file).relative_to(package)
            file.write_text(mutated(mutation), encoding="utf-8")
            for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
                compiled.unlink()


def _run(folder: Path, tests: tuple[str, ...]) -> str:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=no",
        *tests,
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(
            command,
            cwd=_PROJECT,
            env=environment,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    return _OUTCOMES.get(done.returncode, f"broken (pytest ended with {done.returncode})")


def main(subjects: list[str]) -> int:
    """Tries every mutation of the subjects, all of them by default; 0 if each did as expected."""
    known = sorted(file.stem for file in _FOLDER.glob("*.toml"))
    if unknown := sorted(set(subjects) - set(known)):
        print(f"no list of defects is called {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    names = subjects or known
    mutations = [mutation for name in names for mutation in load(name)]
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        for mutation, outcome in zip(mutations, workers.map(_outcome, mutations), strict=True):
            wrong += outcome != mutation.expected
            verdict = "" if outcome == mutation.expected else f"  <- must be {mutation.expected}"
            print(f"{outcome:6} {mutation.subject}: {mutation.name}{verdict}", flush=True)
    print(f"{len(mutations) - wrong} of {len(mutations)} as expected.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
