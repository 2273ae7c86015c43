"""Behavioral cloning for the Udacity simulator: record, preprocess, train, drive, evaluate.

    import bcclone

    bcclone.convert(bcclone.PreprocessSettings(inputs=("laps",), output="laps.h5"))

What a program may use is listed in __init__.pyi, and loaded when it is asked for. Everything deeper may move.
"""

import sys  # nothing else, since `python -m bcclone` cannot handle Ctrl-C before this module is loaded

ModuleType = type(sys.modules[__name__])
_PLACES: dict[str, tuple[str, str]] = {}


def _offered() -> dict[str, tuple[str, str]]:
    """Return name -> its module, and its name there, as __init__.pyi lists them."""
    if not _PLACES:
        from pathlib import Path

        for words in map(str.split, Path(f"{__file__}i").read_text(encoding="utf-8").splitlines()):
            if words[:1] == ["from"]:
                _PLACES[words[-1]] = words[1], words[3]
            elif words[1:2] == ["="]:
                _PLACES[words[0]] = _PLACES.pop(words[2])
    return _PLACES


def __getattr__(name: str) -> object:
    """Load what is asked for; `__version__` is looked up, which takes longer than all else here."""
    if name in _offered():
        from importlib import import_module

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

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _offered()):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door
