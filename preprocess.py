"""Recordings of the simulator -> one HDF5 store.

    python preprocess.py                        # here: driving_log.csv, ./recordings/ or ./data/
    python preprocess.py RECORDING... -o data.h5
    python preprocess.py RECORDING... --check   # only inspect and report

`python preprocess.py --help` lists the options.
"""

import sys

if __name__ == "__main__":
    from bcclone.__main__ import main

    sys.exit(main("preprocess"))
