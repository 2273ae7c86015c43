"""Which version of bcclone is installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bcclone")
except PackageNotFoundError:  # a checkout that was not installed; `bcclone doctor` reports it
    __version__ = "not installed"
