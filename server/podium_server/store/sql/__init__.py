"""The parts that stores over SQL have in common: rows, statements, reads and transactions."""
