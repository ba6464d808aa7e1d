"""The methods for recording that client handles and recorders have in common."""
