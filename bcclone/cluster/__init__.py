"""Work on several machines: write stores of many shards, on Dask or in processes, and train
together with several workers. Only commands and research use this package.
"""
