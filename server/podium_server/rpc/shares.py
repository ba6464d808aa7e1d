"""A limit that is shared among connections."""

__all__ = ["SharedBudget"]


class SharedBudget:
    """Shares a capacity among connections.

    A connection may use at most half of what the others leave free. A single connection thus gets
    half of the capacity, and a second connection at least a quarter. No connection can take
    everything, and the total stays within the capacity.

    Args:
        capacity: The amount to share.
        least: The amount that each connection may use even when nothing is free.
    """

    def __init__(self, capacity: int, *, least: int = 0) -> None:
        self.capacity = capacity
        self.used = 0
        self._least = least
        self._by_peer: dict[str, int] = {}

    def take(self, peer: str, amount: int = 1) -> bool:
        """Takes an amount for a connection; returns whether there was room for it."""
        mine = self._by_peer.get(peer, 0) + amount
        if mine > self.capacity - self.used and mine > self._least:
            return False
        self.used += amount
        self._by_peer[peer] = mine
        return True

    def give_back(self, peer: str, amount: int = 1) -> None:
        """Gives an amount back."""
        self.used -= amount
        left = self._by_peer[peer] - amount
        if left:
            self._by_peer[peer] = left
        else:
            del self._by_peer[peer]

    def used_by(self, peer: str) -> int:
        """Returns the amount that a connection has taken."""
        return self._by_peer.get(peer, 0)
