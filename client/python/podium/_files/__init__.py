"""Results as files: JSON, events, flat tables, Parquet."""
