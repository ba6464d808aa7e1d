"""Limits of requests and stored results, for server, recorder, sender, CLI and importers."""
