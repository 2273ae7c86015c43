"""Behavioral cloning for the Udacity simulator: record, preprocess, train, drive, evaluate.

The rooms follow the data: recording -> dataset -> feed -> train -> model -> drive -> evaluate. The simulator, play and
pictures stand beside this line; cluster and lab are wings that it does not know.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bcclone")
except PackageNotFoundError:  # a checkout that was not installed; `bcclone doctor` reports it
    __version__ = "not installed"
