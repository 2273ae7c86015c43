"""Work on several machines: write stores of many shards, on Dask or in processes, and train
together with several workers. The rest of bcclone does not depend on this package.
"""
