"""The listed defects fit the code as it stands; `make mutations` tries them."""

import ast
from pathlib import Path

import pytest

from tests.project.mutations.run import Mutation, load, mutated

_SUBJECTS = sorted(file.stem for file in Path(__file__).parent.glob("*.toml"))


@pytest.mark.parametrize(
    "mutation",
    [mutation for subject in _SUBJECTS for mutation in load(subject) if mutation.before],
    ids=lambda mutation: mutation.name,
)
def test_a_mutation_fits(mutation: Mutation) -> None:
    """Its text occurs once, and what it makes is still Python."""
    ast.parse(mutated(mutation))


def test_there_are_enough_mutations_and_no_name_twice() -> None:
    """Every subject has at least ten defects, each with a name of its own."""
    for subject in _SUBJECTS:
        names = [mutation.name for mutation in load(subject) if mutation.before]
        assert len(set(names)) == len(names) >= 10
