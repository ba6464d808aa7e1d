"""Python runs this in every process of a chaos run. In senders it notes the server's answers."""

import sys

if any(argument.startswith("podium._sender") for argument in sys.orig_argv):
    from tests.crash.chaos import sending

    sending.install()
