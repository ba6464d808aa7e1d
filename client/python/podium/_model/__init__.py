"""Dataclasses of results."""
