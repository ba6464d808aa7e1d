"""The Podium server: keeps results in a store and serves them over gRPC."""
