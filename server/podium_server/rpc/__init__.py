"""Calls on their way to the rpcs and back: admission, handlers of bytes, errors, health, fronts."""
