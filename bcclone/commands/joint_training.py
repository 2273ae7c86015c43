"""The command model with the wing `cluster`: several workers or several GPUs train together."""

import os
from dataclasses import replace
from functools import wraps
from typing import Any

from bcclone.cluster.cluster_settings import WorkerSettings, find_workers
from bcclone.commands.options import Command, Given, Result, notify
from bcclone.commands.training import RunOptions, chosen_settings, result_of
from bcclone.training.train_settings import RunFiles


def extended(model: Command) -> Command:
    """Return the command with the options of several workers."""

    @wraps(model.function)
    def model_together(given: Given, options: RunOptions) -> Result:
        files = given.make(RunFiles)
        chosen = chosen_settings(given)
        workers = find_workers(given.make(WorkerSettings), os.environ)
        if not workers and chosen.get("gpus", 1) == 1:
            alone: Result = model.function(given, options)
            return alone
        return _train_together(workers, files, chosen, options)

    return replace(model, function=model_together, settings=(*model.settings, WorkerSettings))


def _train_together(
    workers: WorkerSettings | None, files: RunFiles, chosen: dict[str, Any], options: RunOptions
) -> Result:
    """Train as one of several workers, of which only one writes the results, or on several GPUs.

    workers: all workers and the number of this one; None for the GPUs of this machine
    chosen: the settings that the user gave, name -> value
    """
    from bcclone.cluster.joint_training import resume_together, train_together

    if options.resume:
        result = resume_together(workers, files, chosen, notify)
    else:
        result = train_together(workers, files, chosen, notify)
    if result is None:  # another machine writes the results
        return Result(None, text=None)
    return result_of(result, files, options)
