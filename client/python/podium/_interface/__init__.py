"""The interface that client handles and recorders implement."""
