"""Receives and answers calls: admission, access, handlers of bytes, errors, health, fronts."""
