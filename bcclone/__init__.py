"""Behavioral cloning for the Udacity simulator: record, preprocess, train, drive, evaluate.

The rooms follow the data: recording -> dataset -> feed -> train -> model -> drive -> evaluate. The simulator, play and
pictures stand beside this line; cluster and lab are wings that it does not know.
"""


def __getattr__(name: str) -> str:
    """Return `__version__`, which is looked up when it is asked for, because that takes longer than all else here."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(__name__)
    except PackageNotFoundError:  # a checkout that was not installed; `bcclone doctor` reports it
        return "not installed"
