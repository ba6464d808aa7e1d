"""`podium page`."""

from __future__ import annotations

import sys
import urllib.request
import webbrowser
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from podium.cli._exits import CommandError, Exit

if TYPE_CHECKING:
    import argparse

    from podium.cli._console import Console

__all__ = ["add_arguments", "run_locally"]

_DEFAULT = "127.0.0.1:8080"
_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Opens the page with leaderboards and curves in a browser, and prints its URL.\n"
        "A server has the page at each address of --http."
    )
    parser.epilog = (
        f"examples:\n  podium serve --http {_DEFAULT}\n  podium page\n"
        "  podium page https://results.example.org --experiment rank_sweep"
    )
    parser.add_argument(
        "page",
        nargs="?",
        default=_DEFAULT,
        metavar="URL",
        help="an address of --http, or the URL of a proxy before it (default: %(default)s)",
    )
    parser.add_argument("--experiment", metavar="NAME", help="show this experiment")
    parser.add_argument("--print", action="store_true", help="only print the URL")


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Checks that a server has the page, prints its URL and opens it."""
    url = _url(arguments.page)
    _check(url, arguments.timeout or _SECONDS)
    if arguments.experiment is not None:
        url += f"#experiment={quote(arguments.experiment, safe='')}"
    if console.as_json:
        console.json({"url": url})
    else:
        console.line(url)
    if not arguments.print and not console.as_json and sys.stdout.isatty():
        webbrowser.open(url)
    return Exit.OK


def _url(given: str) -> str:
    url = given if "://" in given else f"http://{given}"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise CommandError(f"give HOST:PORT or http://HOST:PORT, not {given!r}")
    return f"{parts.scheme}://{parts.netloc}/"


def _check(url: str, seconds: float) -> None:
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:  # noqa: S310 - http only
            is_page = b"Podium" in response.read(4096)
    except (HTTPError, URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise CommandError(
            f"{url} does not answer ({reason}); start `podium serve --http {_DEFAULT}`",
            Exit.FAILED,
        ) from error
    if not is_page:
        raise CommandError(f"{url} is not a page of Podium", Exit.FAILED)
