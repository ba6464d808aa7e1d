"""The rpcs: check requests, call the store, and encode responses."""
