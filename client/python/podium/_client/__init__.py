"""The clients: calls without I/O, connections that carry them out, handles over both."""
