"""The clients: requests of each rpc (without I/O), connections that send them, and handles."""
