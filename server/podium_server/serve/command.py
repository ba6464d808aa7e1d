"""`podium serve`: reads settings from arguments and environment, sets up logs, handles signals."""

import argparse
import asyncio
import dataclasses
import gc
import logging
import math
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from podium._limits.limits import Limits
from podium._model.access import TokenLimits
from podium._values.names import MOST_NAME_BYTES
from podium.cli._arguments import TOKEN_LIMITS, named_number, token_limit

# gRPC writes log lines in its own format. It reads this variable when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from podium_server.rpc.audit import AuditError
from podium_server.rpc.fronts.grpcio import MAX_CONNECTIONS
from podium_server.rpc.fronts.ports import ListenError
from podium_server.serve.environment import Repeated, read_variables
from podium_server.serve.logs import set_up_logs
from podium_server.serve.server import running
from podium_server.serve.settings import ConfigError, ServerTLS, Settings
from podium_server.store.contract import StoreError

__all__ = ["add_arguments", "loop_factory", "main", "run", "tune_collector"]

_log = logging.getLogger(__name__)

_COLLECT_EVERY = 20_000
"""The number of new objects between two garbage collections. Calls leave few reference cycles."""
_OTHER_FILES = 200
"""The most files that the store, the event loop and the log have open."""
_ORIGIN = re.compile(r"https?://[^/A-Z\s*]+")
_EXIT_USAGE = 2
_EXIT_FAILED = 3
_LIMITS = {field.name: field for field in dataclasses.fields(Limits)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `podium serve`."""
    defaults = Settings()
    parser.description = "Starts a server; SIGTERM and Ctrl-C stop it."
    parser.epilog = (
        "example:\n  podium serve --listen 127.0.0.1:50051 --store sqlite:///podium.db\n\n"
        "Each option has an environment variable, such as PODIUM_SERVE_TLS_CERT for --tls-cert;\n"
        "those of --listen and --store are PODIUM_LISTEN and PODIUM_STORE."
    )
    repeated = partial(parser.add_argument, action=Repeated, default=[])
    repeated(
        "--listen",
        default=[*defaults.listen],
        metavar="ADDRESS",
        help="HOST:PORT or unix:PATH; repeat the option for several "
        f"(default: $PODIUM_LISTEN or {defaults.listen[0]}; port 0 chooses a free one)",
    )
    repeated(
        "--http",
        metavar="ADDRESS",
        help="HOST:PORT: also serve Connect and gRPC-Web over HTTP, for curl and browsers; "
        "repeat the option for several (needs podium[http])",
    )
    repeated(
        "--http-origin",
        type=_origin,
        metavar="ORIGIN",
        help="let web pages of another origin use the HTTP addresses, such as "
        "https://podium.example; repeat the option for several",
    )
    parser.add_argument(
        "--store",
        default=defaults.store,
        metavar="URL",
        help=f"where results are stored (default: $PODIUM_STORE or {defaults.store})",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="allow addresses that other machines can reach, without encryption or access control",
    )
    parser.add_argument(
        "--auth",
        choices=("tokens", "none"),
        help="whether calls need a token. By default they do if the store has tokens or other "
        "machines can reach an address, and do not with --insecure",
    )
    _add_tls(parser)
    parser.add_argument(
        "--audit",
        type=Path,
        metavar="FILE",
        help="append a JSON line to a file for each call that changes tokens, "
        "deletes or replaces results, or is rejected because of its token",
    )
    parser.add_argument(
        "--front",
        choices=("grpcio", "native", "auto"),
        default=defaults.front,
        help="what receives the calls of gRPC: grpcio, the faster native (needs podium[fast]), "
        "or auto: native if it is installed (default: %(default)s)",
    )
    parser.add_argument(
        "--traces",
        type=_between(0, 1, "a number from 0 to 1, such as 0.01"),
        metavar="SHARE",
        help="trace a share of the calls, from 0 to 1, and all calls whose clients trace them; "
        "send the traces to $OTEL_EXPORTER_OTLP_ENDPOINT (needs podium[otel]; default: none)",
    )
    parser.add_argument(
        "--reflection", action="store_true", help="let tools such as grpcurl list the services"
    )
    for option, kind, what, names in (
        ("--limit", _limit, "change a limit", _LIMITS),
        (
            "--token-limit",
            token_limit,
            "a limit of tokens without limits of their own",
            TOKEN_LIMITS,
        ),
        ("--total-limit", token_limit, "a limit for all calls together", TOKEN_LIMITS),
    ):
        repeated(option, type=kind, metavar="NAME=NUMBER", help=f"{what}: {', '.join(names)}")
    parser.add_argument(
        "--answer-cache",
        type=_size,
        default=defaults.answer_cache_bytes,
        metavar="BYTES",
        help="bytes of memory for cached rankings; 0 for no cache (default: %(default)s)",
    )
    parser.add_argument(
        "--grace",
        type=_between(0, sys.float_info.max, "a number of seconds, 0 or more"),
        default=defaults.grace_seconds,
        metavar="SECONDS",
        help="the seconds that running calls get to end after SIGTERM (default: %(default)s)",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="lines for people, or a JSON object in each line (default: %(default)s)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="log messages of this level and above (default: %(default)s)",
    )
    read_variables(parser)


def _add_tls(parser: argparse.ArgumentParser) -> None:
    for option, what in (
        ("--tls-cert", "the server's certificate, in PEM: encrypt connections"),
        ("--tls-key", "the key of the certificate, in PEM, without a password"),
        (
            "--tls-client-ca",
            "in PEM: certificate authorities; a client must have a certificate of one of them",
        ),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=what)


def _tls_of(arguments: argparse.Namespace) -> ServerTLS | None:
    cert, key, client_ca = arguments.tls_cert, arguments.tls_key, arguments.tls_client_ca
    if cert and key:
        return ServerTLS(cert, key, client_ca)
    if cert or key or client_ca:
        raise ConfigError("give --tls-cert and --tls-key together; --tls-client-ca needs both")
    return None


def run(arguments: argparse.Namespace) -> int:
    """Serves until a signal stops the server. Returns the exit code of the process."""
    set_up_logs(arguments.log_format, arguments.log_level)
    tune_collector()
    _allow_open_files()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_serve(_settings(arguments)))
    except (AuditError, ConfigError, ListenError, StoreError) as error:
        _log.error("%s", error)
        return _EXIT_USAGE


def _settings(arguments: argparse.Namespace) -> Settings:
    return Settings(
        listen=tuple(arguments.listen),
        http=tuple(arguments.http),
        http_origins=tuple(arguments.http_origin),
        audit=arguments.audit,
        traces=arguments.traces,
        store=arguments.store,
        insecure=arguments.insecure,
        tls=_tls_of(arguments),
        auth=arguments.auth,
        front=arguments.front,
        reflection=arguments.reflection,
        grace_seconds=arguments.grace,
        answer_cache_bytes=arguments.answer_cache,
        limits=Limits(**dict(arguments.limit)),
        token_limits=TokenLimits(**dict(arguments.token_limit)),
        total_limits=TokenLimits(**dict(arguments.total_limit)),
    )


def main() -> int:
    """Runs `python -m podium_server`. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="podium serve")
    add_arguments(parser)
    return run(parser.parse_args())


async def _serve(settings: Settings) -> int:
    stop, broken = asyncio.Event(), asyncio.Event()
    _stop_on_signals(stop)
    async with running(settings, broken) as addresses:
        for address in addresses:
            _log.info("serving %s on %s", settings.store, address)
            sys.stdout.write(f"listening on {address}\n")
        sys.stdout.flush()
        await _first_of(stop, broken)
        _log.info("stopping")
    _log.info("stopped")
    return _EXIT_FAILED if broken.is_set() else 0


def _stop_on_signals(stop: asyncio.Event) -> None:
    """Sets the event on the first signal to stop. A second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    # nohup and similar programs make the process ignore this signal.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def stop_once() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, stop_once)


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def _allow_open_files() -> None:
    """Raises the limit of open files, so that all connections can be open at a time."""
    needed = MAX_CONNECTIONS + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning(
            "the process may open %d files, but needs %d for all connections; raise ulimit -n",
            allowed,
            needed,
        )


def tune_collector() -> None:
    """Makes garbage collections rare, and excludes imported objects, since they are never freed."""
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Returns the factory of uvloop's event loop, or None if uvloop is not installed.

    That loop is a fifth faster than asyncio's.
    """
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.Loop


def _size(text: str) -> int:
    if not text.replace("_", "").isdecimal():
        raise argparse.ArgumentTypeError("give a number of bytes, such as 8_000_000")
    return int(text)


def _between(least: float, most: float, what: str) -> Callable[[str], float]:
    """Returns the parser of a number that is `least` or more, and `most` or less."""

    def parse(text: str) -> float:
        number = _number(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"give {what}, not {text!r}")
        return number

    return parse


def _number(text: str) -> float:
    """Converts text to a number. Returns NaN if the text is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an origin: give http://HOST or https://HOST, with :PORT if needed, "
            "in lower case and without a path"
        )
    return text


def _limit(text: str) -> tuple[str, int]:
    name, number = named_number(text, _LIMITS)
    if name == "name_bytes" and number > MOST_NAME_BYTES:
        raise argparse.ArgumentTypeError(f"give name_bytes=NUMBER, from 1 to {MOST_NAME_BYTES}")
    return name, number
