"""Benchmark the feeds, and compare them with other loaders and with the limits of this machine.

Each loader runs in a fresh process, so that memory and CPU time are its own, and all run in each of
several rounds, so that a slow moment of the machine affects all alike. docs/explanation/feeding.md
explains the measures.
"""
