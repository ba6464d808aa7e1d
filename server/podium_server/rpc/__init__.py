"""From bytes to handlers and back: what every rpc has in common."""
