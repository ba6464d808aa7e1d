"""Stores keep results. Here are the contract of a store, its rows, and the stores themselves."""
