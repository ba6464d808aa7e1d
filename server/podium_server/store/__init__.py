"""Where results are kept: the contract of a store, its rows, and the stores."""
