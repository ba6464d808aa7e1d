"""Converters of arguments, and the base of the dataclasses. Imports nothing else of Podium."""
