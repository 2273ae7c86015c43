"""Wing: several machines. Stores of many shards, far-away files, tasks on Dask, training with
several workers.
"""
