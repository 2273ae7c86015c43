"""Measure what the work on several machines costs, and simulate how long very large data take.

run measures sharding, tables and steps on this machine; plan adds up the phases of hours of driving, with simulation.
"""
