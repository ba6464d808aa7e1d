"""Texts are shortened to a size, and show that they were."""

from podium._values.shorten_text import shorten, shorten_middle

from tests.each import each


@each(
    ("text", "limit", "expected"),
    [
        ("", 0, ""),
        ("abc", 3, "abc"),
        ("abcdef", 5, "ab…"),
        ("äöü", 6, "äöü"),
        ("äöüx", 6, "ä…"),
        ("abcdef", 3, "…"),
        ("abcdef", 2, ""),
    ],
)
def test_the_end_is_left_out(text: str, limit: int, expected: str) -> None:
    """A text within its limit stays as it is; a longer one ends in an ellipsis, within it too."""
    assert shorten(text, limit) == expected


def test_sizes_other_than_bytes() -> None:
    """The size of a character can be any number, such as its width on a terminal."""
    assert shorten("äöüx", 3, len) == "äö…"
    assert shorten("abc", 4, lambda _: 2) == "a…"


def test_the_middle_is_left_out() -> None:
    """The first and last bytes stay, with the number of those that are missing between them."""
    assert shorten_middle("x" * 64, 64) == "x" * 64
    short = shorten_middle("a" * 500 + "b" * 500, 42)
    assert short == "aaaaaa\n… 988 bytes left out …\nbbbbbb"
    assert len(shorten_middle("ä" * 1000, 101).encode()) <= 101
