"""`python -m podium._sender.detached FOLDER`: starts a sender for an outbox, and returns at once.

So the sender is not a child of the training process, which may wait for its children or kill them.
"""

import os
import sys

if __name__ == "__main__":
    # This fork has to precede the import of gRPC, which does not work after a fork.
    if os.fork():
        os._exit(0)
    from podium._sender.__main__ import main

    sys.exit(main())
