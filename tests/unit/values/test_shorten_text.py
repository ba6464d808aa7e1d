"""Tests of strings that are shortened to a limit of size, with a visible mark."""

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
    """A string over the limit is cut and ends with an ellipsis, within the limit."""
    assert shorten(text, limit) == expected


def test_sizes_other_than_bytes() -> None:
    """A function can give the sizes of characters, such as their widths on a terminal."""
    assert shorten("äöüx", 3, len) == "äö…"
    assert shorten("abc", 4, lambda _: 2) == "a…"


def test_the_middle_is_left_out() -> None:
    """The first and last bytes are kept, with the number of missing bytes between them."""
    assert shorten_middle("x" * 64, 64) == "x" * 64
    short = shorten_middle("a" * 500 + "b" * 500, 42)
    assert short == "aaaaaa\n… 988 bytes left out …\nbbbbbb"
    assert len(shorten_middle("ä" * 1000, 101).encode()) <= 101
