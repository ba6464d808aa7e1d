"""Stores of results: the contract, the rows, and the SQLite and PostgreSQL stores."""
