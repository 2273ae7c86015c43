"""Measure what the work on several machines costs, and simulate how long very large data take.

settings: rates, and what is planned; simulation: resources that processes share; plan: hours of driving on so many
machines; sharding, tables, training: measurements on this machine; run: all of them.
"""
