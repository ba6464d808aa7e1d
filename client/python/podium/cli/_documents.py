"""Writes headings, texts, tables and pictures as one HTML or Markdown file."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import compress
from typing import NamedTuple, Self

from podium._values.clean_text import clean

__all__ = ["Block", "Heading", "Picture", "Table", "Text", "as_html", "as_markdown"]


class Heading(NamedTuple):
    """A heading of a section."""

    text: str


class Text(NamedTuple):
    """A paragraph, with an optional label before it."""

    text: str
    label: str = ""


class Table(NamedTuple):
    """A table. A header that begins with `>` marks a column of numbers, as in `Console.table`."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def without_empty_columns(self) -> Self:
        """Returns the table without the columns that are empty in all rows."""
        filled = [any(row[at] for row in self.rows) for at in range(len(self.headers))]
        rows = [list(compress(row, filled)) for row in self.rows]
        return self._replace(headers=list(compress(self.headers, filled)), rows=rows)


class Picture(NamedTuple):
    """A picture as SVG. In Markdown it is left out, because no viewer shows embedded SVG."""

    svg: str


Block = Heading | Text | Table | Picture

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 75em; margin: 2em auto;
  padding: 0 1em; overflow-wrap: break-word }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px; display: block;
  overflow-x: auto }
th, td { text-align: left; vertical-align: top; padding: .25em .7em; border-bottom: 1px solid #ddd;
  min-width: 2em; max-width: 28em; white-space: pre-wrap }
th { border-bottom: 2px solid #888 }
.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal }
svg { max-width: 100%; height: auto }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em }
p { margin: .4em 0 } b { font-weight: 600 }
""".strip()
# The browser must load no other files and run no scripts.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_MARKUP = re.compile(r"[\\`*_\[\]|~$]|^[#+-]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """Returns a document as one HTML file. It loads no other files."""
    body = "\n".join(map(_html, blocks))
    name = escape(clean(title))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{name}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(clean(text))}</h2>"
        case Text(text, label):
            start = f"<b>{escape(clean(label))}:</b> " if label else ""
            return f"<p>{start}{'<br>'.join(escape(clean(line)) for line in text.splitlines())}</p>"
        case Picture(svg):
            return f"<figure>{svg[svg.index('<svg') :]}</figure>"
    return _html_table(block.without_empty_columns())


def _html_table(table: Table) -> str:
    classes = [' class="number"' if header.startswith(">") else "" for header in table.headers]
    head = _html_row("th", table.headers, classes)
    rows = "\n".join(_html_row("td", row, classes) for row in table.rows)
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _html_row(tag: str, cells: Sequence[str], classes: Sequence[str]) -> str:
    shown = (cell.lstrip(">~") if tag == "th" else cell for cell in cells)
    return "<tr>{}</tr>".format(
        "".join(
            f"<{tag}{kind}>{escape(clean(cell))}</{tag}>"
            for cell, kind in zip(shown, classes, strict=True)
        )
    )


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Returns a document as Markdown, with tables in GitHub's syntax."""
    parts = [f"# {_plain(title)}", *(part for block in blocks for part in _markdown(block))]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Heading(text):
            yield f"## {_plain(text)}"
        case Text(text, label):
            start = f"**{_plain(label)}:** " if label else ""
            yield start + "<br>".join(map(_plain, text.splitlines()))
        case Table():
            headers, rows = block.without_empty_columns()
            lines = ["---:" if header.startswith(">") else "---" for header in headers]
            names = [_plain(header.lstrip(">~")) for header in headers]
            cells = [names, lines, *([_plain(cell) for cell in row] for row in rows)]
            yield "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _plain(text: str) -> str:
    """Escapes a text for Markdown, including the mentions and formulas of GitHub."""
    marked = _MARKUP.sub(lambda found: f"\\{found[0]}", clean(text))
    return "".join(_ENTITIES.get(sign, sign) for sign in marked)
