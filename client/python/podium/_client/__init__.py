"""The clients: requests and responses without I/O, the connections that send them, and handles."""
