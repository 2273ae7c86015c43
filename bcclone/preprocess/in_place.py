"""Recordings -> samples whose images stay in their files, as a store made by default would hold them."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bcclone.file_samples import FileSamples
from bcclone.images import Preprocessing
from bcclone.preprocess.plan import Plan, make_plan, refuse_many_skips
from bcclone.preprocess.settings import LogRead
from bcclone.samples import SAMPLE, SampleSettings, assign_validation, sample_parts
from bcclone.store import row_table


def open_in_place(
    inputs: tuple[str, ...],
    preprocessing: Preprocessing,
    settings: SampleSettings,
    on_log: Callable[[LogRead], None] = lambda log: None,
) -> tuple[FileSamples, Plan]:
    """Return the samples, and the plan with its notices and what is left out.

    on_log is called with each log that was read. No image is opened: one that is damaged shows when it is its turn.
    Raises UserError, and ForeignLog for a file that is no log.
    """
    plan = make_plan(inputs, settings.cameras, None, on_log)
    refuse_many_skips(plan, allowed=False)
    plan.rows["validation"] = assign_validation(plan.rows, settings)
    samples = np.concatenate([np.zeros(0, SAMPLE), *sample_parts(plan.rows, settings)])
    digest = hashlib.sha256(preprocessing.digest.encode())
    for source in plan.sources:
        digest.update(source["sha256"].encode())
    digest.update(samples.tobytes())
    path = Path(plan.logs[0]).parent
    rows = row_table(plan.rows.drop(columns="extras"))
    return FileSamples(path, preprocessing, samples, rows, plan.files, asdict(settings), digest.hexdigest()), plan
