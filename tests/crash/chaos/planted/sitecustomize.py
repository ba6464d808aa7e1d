"""Python runs this in every process of a chaos run: in senders it notes what the server answers."""

import sys

if any(argument.startswith("podium._sender") for argument in sys.orig_argv):
    from tests.crash.chaos import sending

    sending.install()
