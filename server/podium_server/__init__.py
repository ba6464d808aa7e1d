"""The Podium server: stores results, and serves them over gRPC."""
