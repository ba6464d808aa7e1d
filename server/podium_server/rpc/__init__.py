"""Receives and answers calls: admission, access, handlers, errors, health, fronts."""
