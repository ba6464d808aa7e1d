"""Limits of what may be sent and stored: shared by server, recorder, sender, CLI and importers."""
