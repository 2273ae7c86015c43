"""A recording -> its faults, what mends them, and what to record next."""
