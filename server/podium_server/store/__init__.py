"""Stores, which keep results: the contract of a store, its rows, and the SQLite store."""
