"""Paths on the command line -> the samples to train on, or to draw."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.commands.options import say

if TYPE_CHECKING:
    from bcclone.feed.open import TrainingData


@contextmanager
def opened(paths: Sequence[str]) -> Iterator["TrainingData"]:
    """Open a store, or recordings whose images are read where they are."""
    from bcclone.images import Preprocessing
    from bcclone.preprocess import open_in_place
    from bcclone.sample_settings import SampleSettings
    from bcclone.store import Store

    if len(paths) == 1 and not Path(paths[0]).is_dir() and Path(paths[0]).suffix != ".csv":
        with Store(Path(paths[0])) as store:
            yield store
        return
    yield open_in_place(tuple(paths), Preprocessing(), SampleSettings(), say)
