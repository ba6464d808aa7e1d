"""The Podium server: keeps results in a store and answers for them over gRPC."""
