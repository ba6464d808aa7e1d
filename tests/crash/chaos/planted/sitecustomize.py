"""Python runs this file in each process of a chaos run. In senders, it installs `sending`."""

import sys

if any(argument.startswith("podium._sender") for argument in sys.orig_argv):
    from tests.crash.chaos import sending

    sending.install()
