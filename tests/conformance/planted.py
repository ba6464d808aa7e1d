"""Plants defects in the clients, to prove that the conformance tests find them.

    python -m tests.conformance.planted [LANGUAGE ...]

`planted.toml` lists defects of each language, in its pure code and in the code that calls the
server. A defect is a string that occurs once in a file, and the string that replaces it. A defect
names the cells of the table that must fail. No other cell may fail. The file is changed in place
and restored afterwards. Each defect needs a new build, so this is not a part of `make check`.
"""

import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.languages import LANGUAGES, PROJECT, Language
from tests.conformance.running import Row, built, run_http, run_vectors, servers

__all__ = ["Defect", "defects", "main", "planted"]

_LIST = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Defect:
    """A defect of a client, and the cells of the table that must fail."""

    language: str
    name: str
    file: str
    before: str
    after: str
    red: tuple[str, ...]


def defects() -> list[Defect]:
    """Returns every listed defect."""
    listed = tomllib.loads(_LIST.read_text(encoding="utf-8"))["defects"]
    return [Defect(**{**item, "red": tuple(sorted(item["red"]))}) for item in listed]


@contextmanager
def planted(defect: Defect, project: Path = PROJECT) -> Iterator[None]:
    """Puts the defect into its file inside the block.

    Raises ValueError if the text to replace does not occur exactly once.
    """
    file = project / defect.file
    text = file.read_text(encoding="utf-8")
    if text.count(defect.before) != 1:
        raise ValueError(f"{defect.file}: not found exactly once: {defect.before}")
    file.write_text(text.replace(defect.before, defect.after), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


def main(names: Sequence[str]) -> int:
    """Plants the defects of the named languages, or of all. Returns 0 if the right cells failed."""
    failures = 0
    for language in LANGUAGES:
        listed = [defect for defect in defects() if defect.language == language.name]
        if listed and (not names or language.name in names):
            for defect in listed:
                with planted(defect):
                    red = _red(language)
                failures += _judged(defect.language, defect.name, red, defect.red)
            failures += _judged(language.name, "no defect", _red(language), ())
    return min(failures, 1)


def _red(language: Language) -> tuple[str, ...]:
    """Tests a language. Returns the cells of its column that fail."""
    row = built(language)
    if not row.complaints:
        with servers() as started:
            run_vectors(row, started)
            run_http(row, started)
    return _red_cells(row)


def _red_cells(row: Row) -> tuple[str, ...]:
    cells = row.cells.items()
    return tuple(sorted(cell for cell, said in cells if " of " in said or said == "failed"))


def _judged(language: str, name: str, red: tuple[str, ...], expected: tuple[str, ...]) -> bool:
    """Prints the cells that failed. Returns whether they differ from the expected ones."""
    wrong = red != expected
    verdict = f"WRONG, not {', '.join(expected) or 'none'}" if wrong else "as it must"
    print(f"{language}: {name}: red: {', '.join(red) or 'none'}: {verdict}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
