"""The keys of the metadata of calls that clients and servers share."""

__all__ = ["OUTBOX_LAG_KEY"]

OUTBOX_LAG_KEY = "podium-outbox-lag"
"""The key for the age, in seconds, of the oldest event that waits in the outbox of a sender."""
