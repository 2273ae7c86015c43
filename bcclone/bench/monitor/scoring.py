"""Fit the monitors of a seed, let each score every frame of the same drives, and time it."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bcclone.atomic import write_bytes
from bcclone.bench import milliseconds
from bcclone.bench.monitor.kept_drive import KeptDrive
from bcclone.bench.monitor.windows import ScoredDrive
from bcclone.bench.monitor.work import SeedFolder, nominal_scenarios, scenarios
from bcclone.images import Image, Preprocessing
from bcclone.monitor import MonitorSettings, load_monitor
from bcclone.monitor.fitting import NominalDrive, fit_inputs, fit_kind, score_all
from bcclone.monitor.monitor import save_monitor
from bcclone.simulator.world import FRAME_SECONDS

Notify = Callable[[str], None]

_TIMED_FRAMES = 300  # each scored by itself, after some that are not counted
_WARM_UP = 20


def fit_all(work: SeedFolder, notify: Notify) -> None:
    """Fit a monitor of each kind, with the threshold set on undisturbed drives of the model itself."""
    settings = work.settings
    for kind in settings.kinds:
        if work.monitor(kind).exists():
            continue
        notify(f"seed {work.seed}: fitting {kind}")
        chosen = MonitorSettings(
            kind, members=settings.members, epochs=settings.monitor_epochs, seed=work.seed,
            false_alarms=settings.false_alarms,
        )  # fmt: skip
        inputs = fit_inputs(work.model, work.store, chosen)
        kept = (KeptDrive.load(work.drive(one.name)) for one in nominal_scenarios(settings, calibration=True))
        drives = (NominalDrive(_prepared(one, inputs.model.preprocessing), 1 / FRAME_SECONDS) for one in kept)
        info, arrays = fit_kind(inputs, drives, notify)
        save_monitor(work.monitor(kind), info, arrays)


def score_drives(work: SeedFolder, notify: Notify) -> None:
    """Score every frame of every drive by each kind."""
    monitors = {kind: load_monitor(work.monitor(kind), work.model) for kind in work.settings.kinds}
    for one in [*nominal_scenarios(work.settings, calibration=False), *scenarios(work.settings)]:
        missing = [kind for kind in monitors if not work.scores(kind, one.name).exists()]
        if not missing:
            continue
        drive = KeptDrive.load(work.drive(one.name))
        images = list(_prepared(drive, next(iter(monitors.values())).preprocessing))
        for kind in missing:
            scores = score_all(monitors[kind].score_prepared, images)
            _write(work.scores(kind, one.name), ScoredDrive(drive.seconds, scores, drive.departures))
        notify(f"seed {work.seed}: scored {one.name}")


def read_scores(work: SeedFolder, kind: str, name: str) -> ScoredDrive:
    """Return the scores of a drive, as score_drives() wrote them."""
    with np.load(work.scores(kind, name), allow_pickle=False) as stored:
        return ScoredDrive(**stored)


def measure_latency(work: SeedFolder, kind: str) -> tuple[float, float]:
    """Return p50 and p99 of the milliseconds that a monitor takes for one whole frame."""
    monitor = load_monitor(work.monitor(kind), work.model)
    drive = KeptDrive.load(work.drive(nominal_scenarios(work.settings, calibration=False)[0].name))
    count = min(_TIMED_FRAMES + _WARM_UP, len(drive))
    taken = [milliseconds(monitor.score, drive.frame(index)) for index in range(count)]
    p50, p99 = np.percentile(taken[min(_WARM_UP, count - 1) :], [50, 99])
    return round(float(p50), 2), round(float(p99), 2)


def _prepared(drive: KeptDrive, preprocessing: Preprocessing) -> Iterator[Image]:
    return (preprocessing.apply(drive.frame(index)) for index in range(len(drive)))


def _write(path: Path, scored: ScoredDrive) -> None:
    content = io.BytesIO()
    np.savez(content, **vars(scored))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getbuffer())
