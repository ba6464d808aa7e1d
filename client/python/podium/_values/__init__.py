"""Converts arguments, and has the base of the dataclasses. Imports nothing else of Podium."""
