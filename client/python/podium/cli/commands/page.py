"""Opens the page with leaderboards and curves in a browser, and prints its URL.

A server has the page at each address that was given to `podium serve --http`.

Examples:
  podium serve --http 127.0.0.1:8080
  podium page
  podium page https://results.example.org --experiment rank_sweep
"""

import argparse
import json
import socket
import ssl
import sys
import urllib.request
import webbrowser
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from podium._values.suggest import did_you_mean
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit

__all__ = ["add_arguments", "run_locally"]

_DEFAULT = "127.0.0.1:8080"
_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "page",
        nargs="?",
        default=_DEFAULT,
        metavar="URL",
        # Not %(default)s: argparse removes defaults while it parses options between arguments.
        help=f"an address of --http, or the URL of a proxy before it (default: {_DEFAULT})",
    )
    parser.add_argument("--experiment", metavar="NAME", help="show this experiment")
    parser.add_argument("--print", action="store_true", help="only print the URL")


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Checks that a server has the page, prints its URL and opens it."""
    url = _url(arguments.page)
    seconds = arguments.timeout or _SECONDS
    _check(url, seconds)
    if arguments.experiment is not None:
        _check_experiment(url, arguments.experiment, seconds)
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
    except (OSError, HTTPException) as error:
        raise CommandError(_problem(url, error), Exit.FAILED) from error
    if not is_page:
        raise CommandError(_other(url), Exit.FAILED)


def _problem(url: str, error: Exception) -> str:
    """Explains why there is no page at a URL, and what to do."""
    cause = error.reason if type(error) is URLError else error
    address = urlsplit(url).netloc
    match cause:
        case ssl.SSLCertVerificationError():
            return f"{url}: the certificate is not accepted: {cause.verify_message}"
        case ssl.SSLError():
            return f"{url} is not an HTTPS address; if it has no encryption, give http://{address}"
        case _ if cause is error and not isinstance(error, TimeoutError):
            return _other(url)
        case TimeoutError():
            why = "no answer in time"
        case socket.gaierror():
            why = "the name of the host is unknown"
        case _:
            why = (getattr(cause, "strerror", None) or "no connection").lower()
    return (
        f"{url} does not answer ({why}). If a server runs, stop it and start it again with "
        f"--http: `podium serve --http {address if urlsplit(url).port else 'HOST:PORT'}`"
    )


def _other(url: str) -> str:
    return f"{urlsplit(url).netloc} is not an HTTP address of Podium; give the address of --http"


def _check_experiment(url: str, name: str, seconds: float) -> None:
    """Raises an error if the server answers that the experiment does not exist."""
    try:
        _call(url, "GetExperiment", {"experiment": name}, seconds)
    except HTTPError as error:
        if _body(error).get("code") != "not_found":
            return  # such as a server that requires a token: the page asks for it
        near = did_you_mean(name, _experiments(url, seconds))
        raise CommandError(f"there is no experiment {name!r}{near}", Exit.NOTHING) from error
    except (OSError, HTTPException):
        return


def _experiments(url: str, seconds: float) -> list[str]:
    try:
        found = _call(url, "ListExperiments", {"pageSize": 1_000}, seconds)
    except (OSError, HTTPException):
        return []
    return [experiment["name"] for experiment in found.get("experiments", [])]


def _call(url: str, method: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    post = urllib.request.Request(  # noqa: S310 - http only
        f"{url}podium.v1.ResultsService/{method}",
        json.dumps(request).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(post, timeout=seconds) as response:  # noqa: S310 - http only
        return _body(response)


def _body(response: IO[bytes]) -> dict[str, Any]:
    try:
        body = json.load(response)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
