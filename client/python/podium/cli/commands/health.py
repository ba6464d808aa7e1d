"""Asks the health service of a server whether it serves, for probes of containers.

It needs no token. Exit code 0: the server serves; 1: it is stopping, or does not answer.
Of several servers, each is asked, and the exit code is 0 if one serves.

Example:
  podium health --address unix:/run/podium/podium.sock --timeout 5
"""

import argparse

import grpc

from podium._client.channel import channel_options, connection_failure
from podium._client.security import Security, tls_problem
from podium._values.address import server_address, server_addresses
from podium._wire.status import from_rpc_error
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit

__all__ = ["run_locally"]

_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"
"""The encoded response of a server that serves."""
_SECONDS = 5.0


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Asks the health service once, and shows the answer."""
    try:
        addresses = server_addresses(server_address(arguments.address))
        seconds = arguments.timeout or _SECONDS
        serving = [_serves(address, seconds, console, len(addresses) > 1) for address in addresses]
    except ValueError as error:
        raise CommandError(str(error)) from error
    return Exit.OK if any(serving) else Exit.NOTHING


def _serves(address: str, seconds: float, console: Console, has_others: bool) -> bool:
    """Asks a server whether it serves, and shows and returns the answer.

    Raises:
        CommandError: The server does not answer, and there are no others.
    """
    try:
        is_serving = _ask(address, seconds) == _SERVING
    except CommandError as error:
        if not has_others:
            raise
        console.note(str(error))
        is_serving = False
    if console.as_json:
        console.json({"address": address, "serving": is_serving})
    else:
        console.line(f"{address} {'serves' if is_serving else 'does not serve'}")
    return is_serving


def _ask(address: str, seconds: float) -> bytes:
    """Returns the encoded response of the health service, or raises a CommandError."""
    security = Security(address, None, None)
    credentials = security.channel_credentials()
    options = channel_options(address)
    channel = (
        grpc.insecure_channel(address, options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options)
    )
    with channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_CHECK)
        try:
            return check(b"", timeout=seconds)
        except grpc.RpcError as error:
            why = from_rpc_error(error).message
            cause = connection_failure(why) or why
            text = (
                tls_problem(address, cause, security.tls) or f"{address} does not answer: {cause}"
            )
            raise CommandError(text, Exit.NOTHING) from error
