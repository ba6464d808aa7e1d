"""What results are: dataclasses only."""
