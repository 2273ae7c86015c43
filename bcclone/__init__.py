"""Behavioral cloning for the Udacity simulator: record, preprocess, train, drive, evaluate.

Each command is a module with a typed function: `bcclone.preprocess`, `train`, `drive`, `video`, `evaluate`, `replay`.
The modules are imported on first use, and load TensorFlow only when it is needed.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcclone import drive, evaluate, preprocess, replay, train, video

__all__ = ["drive", "evaluate", "preprocess", "replay", "train", "video"]

try:
    __version__ = version("bcclone")
except PackageNotFoundError:  # a checkout that was not installed; `bcclone doctor` reports it
    __version__ = "not installed"


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
