"""Benchmark "plan": how long preprocessing and training on very much driving take, and what they wait for.

Nothing is measured: the phases are estimated from the rates that the benchmark "cluster" has measured.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bcclone.system.progress import Notify
from benchmarks.cluster.phases import (
    GB,
    TRAINING_FRACTION,
    DrivingSize,
    Phase,
    estimate_epoch,
    estimate_preprocessing,
    fraction_near,
)
from benchmarks.cluster.plan_settings import Rates, Settings
from benchmarks.measures import Measure, Report, aligned

_SAMPLE_BYTES = 20 + 9 + 4  # of the store's table, the feed's arrays and the order of an epoch


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Estimate all phases, one after the other; raises UserError for a file without rates.

    The memory that processes need has the memory of a machine as its bar.
    """
    rates = settings.chosen_rates()
    size = DrivingSize.of(settings.hours, settings.shard_mb)
    phases = [*_phases(settings, rates, size)]
    seconds, samples = sum(phase.seconds for phase in phases), size.training_samples / TRAINING_FRACTION
    memory_gb = {
        "the command that starts preprocessing": size.rows * rates.row_bytes / GB,
        "each training process": samples * _SAMPLE_BYTES / GB,
    }
    values = {
        "hours": settings.hours,
        "machines": settings.machines,
        "size": asdict(size),
        "phases": [_phase_as_json(phase, settings) for phase in phases],
        "seconds": round(seconds, 1),
        "cost": round(_cost(seconds, settings), 2),
        "memory_gb": {name: round(needed, 1) for name, needed in memory_gb.items()},
        "settings": {name: value for name, value in asdict(settings).items() if name != "rates"},
        "rates": asdict(rates),
    }
    measures = [
        Measure(f"memory of {name}", needed, "GB", settings.memory_gb, least=False)
        for name, needed in memory_gb.items()
    ]
    return Report(measures, _table(settings, size, phases), values)


def _phases(settings: Settings, rates: Rates, size: DrivingSize) -> Iterator[Phase]:
    samples = size.training_samples / TRAINING_FRACTION
    opening = size.shards * rates.open_ms + samples * rates.sample_us / 1000
    yield _by_one_thread("reading the logs", size.rows * rates.row_ms)
    yield estimate_preprocessing(settings, rates, size)
    yield _by_one_thread("writing the manifest", opening)  # its content hash covers all tables
    yield _by_one_thread("opening the store", opening)
    first = estimate_epoch(settings, rates, size, 0.0)
    yield Phase("training, first epoch", first.seconds, first.busy)
    epochs = range(2, settings.epochs + 1)
    if epochs:  # as if the caches were always as on average
        near = sum(fraction_near(settings, size, epoch) for epoch in epochs) / len(epochs)
        epoch = estimate_epoch(settings, rates, size, near)
        yield Phase(f"training, {len(epochs)} more", epoch.seconds * len(epochs), epoch.busy)


def _by_one_thread(name: str, milliseconds: float) -> Phase:
    return Phase(name, milliseconds / 1000, {"one thread": 1.0})


def _cost(seconds: float, settings: Settings) -> float:
    """Return the price of all machines for this time."""
    return settings.machines * settings.price * seconds / 3600


def _phase_as_json(phase: Phase, settings: Settings) -> dict[str, Any]:
    return {
        "name": phase.name,
        "seconds": round(phase.seconds, 1),
        "cost": round(_cost(phase.seconds, settings), 2),
        "bottleneck": phase.bottleneck,
        "busy": {name: round(fraction, 4) for name, fraction in phase.busy.items()},
    }


def _table(settings: Settings, size: DrivingSize, phases: list[Phase]) -> list[str]:
    machines = f"{settings.machines:,} machine{'s' if settings.machines > 1 else ''}"
    head = (
        f"{settings.hours:,g} hours of driving: {size.images:,} images, {size.store_bytes / 1e12:.2f} TB of frames in "
        f"{size.shards:,} shards, {size.training_samples:,} training samples; {machines}"
    )
    rows, notes = [["", "hours", "cost"]], ["first bottleneck, and how busy resources were"]
    for phase in (*phases, Phase("total", sum(phase.seconds for phase in phases), {})):
        rows.append([phase.name, f"{phase.seconds / 3600:.2f}", f"{_cost(phase.seconds, settings):,.2f}"])
        busy = sorted(phase.busy.items(), key=lambda item: -item[1])
        notes.append(", ".join(f"{name} {fraction:.0%}" for name, fraction in busy))
    return [head, "", *(f"{row}  {note}".rstrip() for row, note in zip(aligned(rows), notes, strict=True)), ""]
