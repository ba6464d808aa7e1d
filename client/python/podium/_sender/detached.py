"""`python -m podium._sender.detached FOLDER`: begins to deliver an outbox, and returns at once.

The sender that it leaves is nobody's child: a training that waits for its children, or kills them
at its end, does not meet it.
"""

import os
import sys

if __name__ == "__main__":
    # Before gRPC is loaded, which does not survive a fork.
    if os.fork():
        os._exit(0)
    from podium._sender.__main__ import main

    sys.exit(main())
