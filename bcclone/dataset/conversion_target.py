"""Where a conversion writes its store: what it asks of a target, and the target of one file.

In: the plan of a conversion. Out: the store of its settings' `output`, and a `Written`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bcclone.dataset.conversion_plan import ConversionPlan, StorePart
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import PreprocessSettings, SampleSettings
from bcclone.dataset.skips import Skip
from bcclone.dataset.store import Store, StoreContent, similar_store
from bcclone.dataset.store_writer import write_store
from bcclone.system.errors import UserError
from bcclone.system.files import STORE, inputs_of, replacing, writing
from bcclone.system.location import as_local, is_url, reaching
from bcclone.system.process import ProgressBar

NO_CHECKSUMS = np.zeros(0, np.uint32)


@dataclass(frozen=True)
class Written:
    """What there is to say of a store that was just written."""

    skips: tuple[Skip, ...]  # rows and images that were left out
    checksums: npt.NDArray[np.uint32]  # CRC-32 of each frame, (frames,); empty if none was added
    notices: tuple[str, ...] = ()  # warnings for the user
    content: StoreContent | None = None  # the whole store; None to read it from the output


class Target(Protocol):
    """An output that may be written: it is locked until the conversion is complete.

    Who makes a target keeps it open in a `with` block, and closes the old store at its end.
    """

    @property
    def old(self) -> Store | None:
        """The store in the output that is added to; None for a new store."""

    def write(
        self, preprocessing: Preprocessing, samples: SampleSettings, plan: ConversionPlan
    ) -> Written:
        """Write the store: first what the old store has, then what the plan adds.

        It is called at most once, and nobody reads the old store afterwards. The output has its new
        content when write() returns; before, or after an error, an old store is as it was. Raises
        UserError if too many rows or images cannot be used.
        """


class OneFile:
    """A target that is a store of one file.

    old: the store in the output that is added to, None for a new store
    """

    def __init__(self, settings: PreprocessSettings, old: Store | None) -> None:
        self.old = old
        self._settings = settings

    def write(
        self, preprocessing: Preprocessing, samples: SampleSettings, plan: ConversionPlan
    ) -> Written:
        """Write the store, as Target.write() says."""
        rows = len(plan.rows)
        files = len(plan.files)
        part = StorePart(preprocessing, samples, plan.rows, plan.files, plan.recordings)
        with (
            replacing(as_local(self._settings.output), follow=True) as temporary,
            ProgressBar("decoding", files, "images") as progress,
        ):

            def advance(count: int) -> None:
                # a guess: each row has the same number of files
                rows_done = rows * (int(progress.done) + count) // files
                progress.advance(count, f"{rows_done}/{rows} rows")

            unusable, checksums = write_store(temporary, part, self.old, advance)
            skips = plan.skips_with(unusable, self._settings.allow_skips)
            if self.old:
                self.old.frames.close()  # Windows cannot replace a file that is mapped
        return Written(skips, checksums)


@contextmanager
def one_file(settings: PreprocessSettings) -> Iterator[OneFile]:
    """Lock the output of the settings, and yield it as a target.

    Raises UserError if the output may not be written.
    """
    if is_url(settings.output):
        raise UserError(f"{settings.output}: one file is written to a local path; name another -o")
    output = as_local(settings.output)
    adding = adds_to_store(settings)
    remedy = "overwrite it with --force, add to it with --add, or name another -o"
    with (
        writing(output, STORE, settings.force or adding, inputs_of(settings), remedy),
        Store(output) if adding else nullcontext() as old,
    ):
        yield OneFile(settings, old)


def adds_to_store(settings: PreprocessSettings) -> bool:
    """Return whether to add to a store; raises UserError if there is none to add to."""
    if not settings.add:
        return False
    with reaching(settings.output):
        exists = settings.output.exists()
    if not exists:
        remedy = "leave out --add to make a new store"
        similar = similar_store(settings.output)
        if similar:
            remedy = f"{similar} Or {remedy}"
        raise UserError(f"{settings.output}: no such store to add to; {remedy}")
    return True
