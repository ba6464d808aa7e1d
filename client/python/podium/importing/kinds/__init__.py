"""The importers of Podium: a module for each kind of results."""
