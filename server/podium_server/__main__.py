"""`python -m podium_server`: the same as `podium serve`."""

import sys

from podium_server.serve.command import main

sys.exit(main())
