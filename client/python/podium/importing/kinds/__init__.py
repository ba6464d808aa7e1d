"""The importers, one kind a module."""
