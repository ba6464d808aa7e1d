"""Delivers the events in outboxes to a server, for the sender process and `podium sync`."""

from podium._sender.event_kinds import begins_arm
from podium._sender.protocol import DEFECTS
from podium._sender.sender import BACKGROUND, FOREGROUND, Rules, Sender, Tally
from podium._sender.status_file import Report

__all__ = [
    "BACKGROUND",
    "DEFECTS",
    "FOREGROUND",
    "Report",
    "Rules",
    "Sender",
    "Tally",
    "begins_arm",
]
