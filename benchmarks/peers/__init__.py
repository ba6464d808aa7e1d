"""Measures Podium and other tools, each in its own environment and process."""
