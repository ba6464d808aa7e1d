"""The rpcs: requests are checked, the store is asked, answers are encoded."""
