"""Measures how many defects the tests find: plants one defect at a time and runs the tests.

    python tests/project/mutations/run.py [--most N] [SUBJECT ...]

`subjects.toml` lists the subjects. A subject is a set of files, and the tests that must find
defects in them. Of the defects that `rules` can plant in the files, a fixed random sample is tried.
The run fails if the share of defects that make the tests fail is less than the subject's `found`.
It prints the defects that the tests did not find. Some defects change nothing that a test can
observe, so not all of them can be found.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import contextlib

from tests.project.mutations.rules import Defect, defects_of

__all__ = ["Subject", "main", "subjects"]

_PROJECT = Path(__file__).parents[3]
_PACKAGES = ("client/python/podium", "server/podium_server")
_SAMPLE = 6
_SECONDS = 120
_FAILED = 1  # pytest's exit code for tests that failed


@dataclass(frozen=True)
class Subject:
    """A set of files, the tests for them, and the share of defects that the tests must find."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    found: float

    def sample(self, most: int) -> list[Defect]:
        """Returns at most `most` of the defects in the files, always the same ones."""
        every = [defect for file in self.files for defect in self._defects(file)]
        return sorted(every, key=lambda defect: defect.draw)[:most]

    def _defects(self, pattern: str) -> Iterator[Defect]:
        for path in sorted(_PROJECT.glob(pattern)):
            file = str(path.relative_to(_PROJECT))
            yield from defects_of(file, path.read_text(encoding="utf-8"))


def subjects() -> dict[str, Subject]:
    """Returns the subjects of `subjects.toml` by name."""
    listed = tomllib.loads(Path(__file__).with_name("subjects.toml").read_text(encoding="utf-8"))
    return {
        name: Subject(name, tuple(item["files"]), tuple(item["tests"]), item["found"])
        for name, item in listed.items()
    }


def _turns_red(tests: tuple[str, ...], defect: Defect | None) -> bool:
    """Returns whether the tests fail or hang if a copy of the packages has this defect."""
    with tempfile.TemporaryDirectory() as folder:
        for package in _PACKAGES:
            shutil.copytree(_PROJECT / package, Path(folder, Path(package).name))
        if defect is not None:
            _plant(Path(folder), defect)
        return _pytest(folder, tests) == _FAILED


def _plant(folder: Path, defect: Defect) -> None:
    (package,) = (package for package in _PACKAGES if defect.file.startswith(f"{package}/"))
    file = folder / Path(package).name / Path(defect.file).relative_to(package)
    file.write_text(defect.source, encoding="utf-8")
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
        compiled.unlink()


def _pytest(folder: str, tests: tuple[str, ...]) -> int:
    options = ("-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-m", "not slow")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=_PROJECT,
        env={**os.environ, "PYTHONPATH": folder, "TMPDIR": folder},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        code = _FAILED
    finally:
        # With a defect, servers and senders may still be running.
        _kill_group(process.pid)
        process.wait()
    # If a module cannot be imported, pytest ends with 2 or 4. The defect counts as found, too.
    return _FAILED if code not in (0, 5) else code


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _try(subject: Subject, most: int, workers: ThreadPoolExecutor) -> bool:
    """Tries a sample of a subject's defects. Returns whether the tests found enough of them."""
    if _turns_red(subject.tests, None):
        print(f"{subject.name}: its tests fail without any defect")
        return False
    sample = subject.sample(most)
    red = list(workers.map(lambda defect: _turns_red(subject.tests, defect), sample))
    for defect in (defect for defect, found in zip(sample, red, strict=True) if not found):
        print(f"  survived: {defect.file}:{defect.line} {defect.rule}: {_line(defect.before)}")
    share = sum(red) / len(sample)
    verdict = "" if share >= subject.found else f"  <- must be {subject.found:.0%}"
    print(f"{subject.name}: {sum(red)} of {len(sample)} found{verdict}", flush=True)
    return share >= subject.found


def _line(text: str) -> str:
    return " ".join(text.split())[:100]


def main(arguments: list[str] | None = None) -> int:
    """Tries the named subjects, by default all. Returns 0 if enough defects were found."""
    known = subjects()
    parser = argparse.ArgumentParser(description="Plants defects and runs the tests.")
    parser.add_argument("--most", type=int, default=_SAMPLE, help="defects to try in each subject")
    parser.add_argument("subjects", nargs="*", choices=[[], *known], metavar="SUBJECT")
    options = parser.parse_args(arguments)
    chosen = options.subjects or list(known)
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        enough = [_try(known[name], options.most, workers) for name in chosen]
    print(f"{sum(enough)} passed, {len(enough) - sum(enough)} failed")
    return 0 if all(enough) else 1


if __name__ == "__main__":
    sys.exit(main())
