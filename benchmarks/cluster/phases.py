"""Estimate preprocessing and an epoch of training on several machines: how long they take, which resources are busy.

The estimate is the asymptotic bound of operational analysis (Denning and Buzen, 1978): a phase lasts as long as its
busiest resource works, while a first or last item passes the others, or as long as a worker needs for its share of the
items, whichever is longer. Queues in between make it up to a tenth longer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.cluster.plan_settings import Rates, Settings

_ROWS_PER_SECOND, _CAMERAS = 15, 3
_FRAME_BYTES = 128 * 128 * 3
_IMAGE_BYTES = 15_800  # JPEG, on average of two real recordings: docs/explanation/feeding.md
_SAMPLES_PER_IMAGE, TRAINING_FRACTION = 2, 0.8  # as it is and mirrored; preprocess.py keeps a fifth for validation
_GRADIENT_BYTES = 252_219 * 4  # of the network cnn
_GBIT, GB = 1e9 / 8, 1e9


@dataclass(frozen=True)
class DrivingSize:
    """How much data so many hours of driving are."""

    rows: int
    images: int
    shards: int
    image_bytes: float
    store_bytes: float
    training_samples: int

    @classmethod
    def of(cls, hours: float, shard_mb: float) -> "DrivingSize":
        """Return the size of driving at 15 Hz and three cameras."""
        rows = max(round(hours * 3600 * _ROWS_PER_SECOND), 1)
        images = rows * _CAMERAS
        store = images * _FRAME_BYTES
        samples = round(images * _SAMPLES_PER_IMAGE * TRAINING_FRACTION)
        return cls(rows, images, math.ceil(store / (shard_mb * 1e6)), images * _IMAGE_BYTES, store, samples)


@dataclass(frozen=True)
class Phase:
    """A part of the work. busy: fraction of the time in which each resource was busy, on average of its kind."""

    name: str
    seconds: float
    busy: Mapping[str, float]

    @classmethod
    def of(cls, name: str, seconds: float, work: Mapping[str, float]) -> "Phase":
        """Return a phase. work: seconds that each resource works."""
        return cls(name, seconds, {kind: worked / seconds for kind, worked in work.items() if worked})

    @property
    def bottleneck(self) -> str:
        """Return the resource that was busy longest."""
        return max(self.busy, key=lambda name: self.busy[name])


def estimate_preprocessing(settings: Settings, rates: Rates, size: DrivingSize) -> Phase:
    """Estimate workers, one for each core, that read images, decode them and write shards, one step after the other.

    The command that starts them sends one shard after the other.
    """
    workers = settings.machines * settings.cores
    of_shard = {"scheduler": rates.shard_ms / 1000, "cores": size.images / size.shards / rates.image_rate}
    moved = _transfer(settings, (size.image_bytes + size.store_bytes) / size.shards)
    passed = sum(of_shard.values()) + max(moved.values())  # seconds that a worker needs for a shard, alone
    servers = {"cores": workers, "networks": settings.machines}  # of the other kinds there is one
    work = {kind: size.shards * seconds / servers.get(kind, 1) for kind, seconds in (of_shard | moved).items()}
    shared = max(work[kind] + passed - seconds for kind, seconds in (of_shard | moved).items())
    return Phase.of("preprocessing", max(math.ceil(size.shards / workers) * passed, shared), work)


def _transfer(settings: Settings, size: float) -> dict[str, float]:
    """Return the seconds that so many bytes need at each resource between a machine and where the data are stored.

    They pass the storage and the machine's network, or the disk of a single machine.
    """
    if settings.machines == 1:
        return {"disks": size / (settings.disk_mb * 1e6)}
    return {"storage": size / (settings.storage_gbit * _GBIT), "networks": size / (settings.network_gbit * _GBIT)}


def estimate_epoch(settings: Settings, rates: Rates, size: DrivingSize, near: float) -> Phase:
    """Estimate an epoch: each machine reads the windows of its stream of shards ahead, and trains on them.

    With fewer streams than machines, several machines read the same shards. near: fraction of the shards that a machine
    has in its cache; a machine alone has them all on its disk.
    """
    streams = _streams(settings)
    windows = math.ceil(size.shards / streams / settings.window_shards)
    of_machine = size.store_bytes / streams
    in_memory = bool(near) and size.store_bytes <= settings.memory_gb * GB
    if settings.machines == 1:
        fetched = _transfer(settings, 0.0 if in_memory else of_machine)
    else:
        far = (1 - near) * of_machine
        fetched = _transfer(settings, far)
        fetched["storage"] *= settings.machines
        # fetched shards are written to the disk, and the others are read from its cache
        fetched["disks"] = (far + (0.0 if in_memory else near * of_machine)) / (settings.disk_mb * 1e6)
    samples = size.training_samples / settings.machines
    trained = {"training": samples / (settings.machine_rate or settings.cores * rates.training_rate)}
    if settings.machines > 1:
        exchanged = 2 * _GRADIENT_BYTES * (settings.machines - 1) / settings.machines  # by a ring
        step_seconds = exchanged / (settings.network_gbit * _GBIT) + rates.step_ms / 1000
        trained["gradients"] = samples / settings.batch_size * step_seconds
    fetching, training = max(fetched.values()), sum(trained.values())
    seconds = max(fetching + training / windows, training + fetching / windows)
    return Phase.of("epoch", seconds, {**fetched, **trained})


def fraction_near(settings: Settings, size: DrivingSize, epoch: int) -> float:
    """Return the fraction of the shards that are in a machine's cache when an epoch, counted from 1, begins.

    Each epoch brings a machine the shards of its stream, at random; the cache holds at most `cache_gb` of them.
    """
    seen = 1 - (1 - 1 / _streams(settings)) ** (epoch - 1)
    return min(seen, settings.cache_gb * GB / size.store_bytes)


def _streams(settings: Settings) -> int:
    return min(settings.window_streams or settings.machines, settings.machines)
