"""Behavioral cloning for the Udacity simulator: recording -> store -> network -> driving car -> clip."""

from importlib.metadata import version

__version__ = version("bcclone")
