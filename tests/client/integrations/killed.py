"""Runs a script, and kills its process with SIGKILL after a number of in-loop rows.

python killed.py ROWS SCRIPT ARGUMENTS…
"""

import os
import runpy
import signal
import sys
from itertools import count

from podium.integrations._training import Row, Training

rows, script = int(sys.argv[1]), sys.argv[2]
numbers = count(1)
log_row = Training.log_row


def log_and_die(self: Training, row: Row) -> None:
    """Records a row. After the given number of rows, it kills the process."""
    log_row(self, row)
    if next(numbers) == rows:
        os.kill(os.getpid(), signal.SIGKILL)


Training.log_row = log_and_die  # type: ignore[method-assign]
sys.argv = sys.argv[2:]
runpy.run_path(script, run_name="__main__")
