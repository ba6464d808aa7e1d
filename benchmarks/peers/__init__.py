"""Podium beside other tools, each in an environment and a process of its own."""
