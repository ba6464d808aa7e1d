"""The commands of `podium`, one in each module. `podium.cli` describes their functions."""
