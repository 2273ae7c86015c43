"""Benchmarks of bcclone, outside the package: `python -m benchmarks NAME`, from a checkout.

A benchmark is a module with a frozen dataclass Settings, whose fields are its options, and a
function measure(settings, notify) that returns a Report. A line of the table in __main__.py makes
it a command.
"""
