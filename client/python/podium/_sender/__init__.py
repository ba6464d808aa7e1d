"""The sender: the process that delivers outboxes, and what `podium sync` shares with it."""

from podium._sender._delivery import DEFECTS
from podium._sender._report import Report
from podium._sender._sender import BACKGROUND, FOREGROUND, Rules, Sender, Tally

__all__ = ["BACKGROUND", "DEFECTS", "FOREGROUND", "Report", "Rules", "Sender", "Tally"]
