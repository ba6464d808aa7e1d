"""Reads and writes results as files: JSON, events, flat tables, Parquet."""
