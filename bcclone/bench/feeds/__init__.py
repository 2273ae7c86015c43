"""How fast batches come: every feed of ours, the limits of this machine, and what one would use instead.

Each contestant runs alone in a fresh process, in turns with the others, so that memory and CPU time are its own and
a slow moment of the machine hits all alike. docs/explanation/feeding.md tells what is timed.
"""
