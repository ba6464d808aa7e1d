"""Tests of the decorator `each`, which runs many cases as one test."""

import pytest

from tests.each import each


def test_every_case_runs_and_the_error_names_a_failed_one() -> None:
    """A test gets the arguments of each case in turn. The error tells which case failed."""
    seen = []

    @each("text", ["a", "b"])
    @each(("number", "is_even"), [(1, False), (2, True), (3, True)])
    def check(text: str, number: int, is_even: bool) -> None:
        seen.append((text, number))
        assert (number % 2 == 0) is is_even

    with pytest.raises(AssertionError) as failed:
        check()
    assert seen == [("a", 1), ("a", 2), ("a", 3)]
    assert failed.value.__notes__ == [
        "in the case {'number': 3, 'is_even': True}",
        "in the case {'text': 'a'}",
    ]
