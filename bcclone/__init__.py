"""Behavioral cloning for the Udacity simulator: recording -> store -> network -> driving car -> clip."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bcclone")
except PackageNotFoundError:  # a checkout that nobody installed: `bcclone doctor` says so
    __version__ = "not installed"
