"""Tests of which names are suggested for a name that does not exist."""

from podium._values.suggest import did_you_mean, near_names

from tests.each import each

_KNOWN = ["test.acc", "val.acc", "train/loss", "bench@openai/gpt-4.1.pass^3"]


@each(
    ("unknown", "expected"),
    [
        ("test.ac", ["test.acc"]),
        ("TEST.ACC", ["test.acc"]),
        ("loss", ["train/loss"]),
        ("train/loss.final", ["train/loss"]),
        ("bench@openai/gpt4.1.pass^3", ["bench@openai/gpt-4.1.pass^3"]),
        ("x", []),
        ("", []),
    ],
)
def test_near_names(unknown: str, expected: list[str]) -> None:
    """A known name is suggested if its spelling is similar to that of the unknown name.

    It is also suggested if one of the two names contains the other.
    """
    assert near_names(unknown, _KNOWN) == expected


def test_at_most_three_are_shown() -> None:
    """At most three similar names are suggested."""
    assert near_names("rank_", [f"rank_{k}" for k in range(9)]) == ["rank_8", "rank_7", "rank_6"]


def test_the_end_of_a_message() -> None:
    """Suggested names are quoted and joined. Without a similar name, nothing is added."""
    assert did_you_mean("a", ["b"]) == ""
    assert did_you_mean("tset", ["test"]) == "; did you mean 'test'?"
    assert did_you_mean("acc.", ["acc1", "acc2"]) == "; did you mean 'acc2' or 'acc1'?"
