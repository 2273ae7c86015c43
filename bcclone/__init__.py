"""Behavioral cloning for the Udacity simulator: record, preprocess, train, drive, evaluate.

    import bcclone

    bcclone.convert(bcclone.PreprocessSettings(inputs=("laps",), output="laps.h5"))

What a program may use is listed in __init__.pyi, and loaded when it is asked for. Everything deeper may move.
"""

import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


@cache
def _offered() -> dict[str, tuple[str, str]]:
    """Return name -> its module, and its name there, as __init__.pyi lists them."""
    places: dict[str, tuple[str, str]] = {}
    with Path(f"{__file__}i").open(encoding="utf-8") as file:
        for words in map(str.split, file):
            if words[:1] == ["from"]:
                places[words[-1]] = words[1], words[3]
            elif words[1:2] == ["="]:
                places[words[0]] = places.pop(words[2])
    return places


def __getattr__(name: str) -> Any:
    """Load what is asked for; `__version__` is looked up, which takes longer than all else here."""
    if name in _offered():
        module, there = _offered()[name]
        return getattr(import_module(module), there)
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(__name__)
    except PackageNotFoundError:  # a checkout that was not installed; `bcclone doctor` reports it
        return "not installed"


def __dir__() -> list[str]:
    return ["__version__", *_offered()]


class _Door(ModuleType):
    """This module, in which a function is not replaced by the room of its name (train, evaluate, play)."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _offered()):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door
