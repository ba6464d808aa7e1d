"""Generated from proto/podium/v1 by `make proto`: never edit."""
