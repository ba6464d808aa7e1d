"""Tests of the rules that plant defects, and of the list of files with planted defects."""

import ast
from pathlib import Path

import pytest

from tests.project.mutations.rules import defects_of
from tests.project.mutations.run import subjects

_PROJECT = Path(__file__).parents[3]

_SOURCE = '''
def keep(self, rows: list[int], limit: int = 3) -> bool:
    """Keeps rows."""
    if not rows and limit <= 3:
        raise ValueError("no rows")
    self.total += len(rows)
    os.fsync(self.file)
    return any(rows) is True
'''


def test_each_rule_plants_its_defect() -> None:
    """The rules plant exactly these defects in a small function."""
    found = [(defect.rule, defect.line, defect.before) for defect in defects_of("f.py", _SOURCE)]
    assert found == [
        ("swap and with or", 4, "not rows and limit <= 3"),
        ("drop the last condition", 4, "not rows and limit <= 3"),
        ("drop not", 4, "not rows"),
        ("change the comparison", 4, "limit <= 3"),
        ("add one to the constant", 4, "3"),
        ("drop the raise statement", 5, 'raise ValueError("no rows")'),
        ("drop the augassign statement", 6, "self.total += len(rows)"),
        ("drop the expr statement", 7, "os.fsync(self.file)"),
        ("change the comparison", 8, "any(rows) is True"),
        ("call all for any", 8, "any(rows)"),
        ("negate the constant", 8, "True"),
    ]


def test_a_defect_replaces_its_node_only() -> None:
    """A defect replaces only its node, even after characters of several bytes."""
    source = 'def f():\n    return "ä…", 1 < 2\n'
    changed = {defect.source for defect in defects_of("f.py", source)}
    assert 'def f():\n    return "ä…", (1 <= 2)\n' in changed
    assert 'def f():\n    return "ä…", 1 < 3\n' in changed


@pytest.mark.slow
def test_every_subject_has_defects_that_are_python() -> None:
    """Each listed file and test exists, and a sample of the planted defects can be parsed."""
    for subject in subjects().values():
        for test in subject.tests:
            assert (_PROJECT / test).exists(), f"{subject.name}: {test}"
        for pattern in subject.files:
            assert list(_PROJECT.glob(pattern)), f"{subject.name}: {pattern}"
        sample = subject.sample(most=40)
        assert len(sample) >= 10, subject.name
        for defect in sample:
            ast.parse(defect.source)
