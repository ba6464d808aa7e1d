"""Starts and stops a server: flags, settings, wiring, logs, signals."""
