"""Simulate preprocessing and an epoch of training on several machines: how long they take, and what is busy."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.cluster.plan_settings import Rates, Settings
from benchmarks.cluster.simulation import Process, Resource, Semaphore, Simulation, Take, Use

_ROWS_PER_SECOND, _CAMERAS = 15, 3
_FRAME_BYTES = 128 * 128 * 3
_IMAGE_BYTES = 15_800  # JPEG, on average of two real recordings: docs/explanation/feeding.md
_SAMPLES_PER_IMAGE, TRAINING_FRACTION = 2, 0.8  # as it is and mirrored; preprocess.py keeps a fifth for validation
_GRADIENT_BYTES = 252_219 * 4  # of the network cnn
_WINDOWS_AHEAD = 2
_MOST_TRANSFERS = 20_000  # beyond that a part of an epoch is simulated, and the rest takes as long for each window
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

    @property
    def bottleneck(self) -> str:
        """Return the resource that was busy longest."""
        return max(self.busy, key=lambda name: self.busy[name])


class _Machines:
    """The resources of the machines, by kind."""

    def __init__(self, settings: Settings, per_machine: Mapping[str, float]) -> None:
        self.disks = [Resource(settings.disk_mb * 1e6) for _ in range(settings.machines)]
        self.networks = [Resource(settings.network_gbit * _GBIT) for _ in range(settings.machines)]
        self.storage = Resource(settings.storage_gbit * _GBIT)
        self.others = {name: Resource(rate) for name, rate in per_machine.items()}

    def path(self, machine: int) -> tuple[Resource, ...]:
        """Return what data pass to or from where they are stored: a network, or the disk of a single machine."""
        if len(self.disks) == 1:
            return (self.disks[0],)
        return self.storage, self.networks[machine]

    def busy(self, seconds: float, cores: list[Resource]) -> dict[str, float]:
        """Return the fraction of the time in which each kind of resource was busy."""
        kinds = {"disks": self.disks, "cores": cores, **{name: [one] for name, one in self.others.items()}}
        if len(self.disks) > 1:
            kinds |= {"storage": [self.storage], "networks": self.networks}
        fractions = {
            name: sum(one.busy for one in resources) / (len(resources) * seconds)
            for name, resources in kinds.items()
            if resources
        }
        return {name: fraction for name, fraction in fractions.items() if fraction}


def simulate_preprocessing(settings: Settings, rates: Rates, size: DrivingSize) -> Phase:
    """Simulate workers, one for each core, that read images, decode them and write shards.

    The command that starts them sends one shard after the other.
    """
    simulation, machines = Simulation(), _Machines(settings, {"scheduler": 1.0})
    cores = [Resource(rates.image_rate) for _ in range(settings.machines * settings.cores)]
    left = iter(range(size.shards))

    def worker(number: int) -> Process:
        path = machines.path(number % settings.machines)
        for _ in left:
            if rates.shard_ms:
                yield Use(rates.shard_ms / 1000, (machines.others["scheduler"],))
            yield Use(size.image_bytes / size.shards, path)
            yield Use(size.images / size.shards, (cores[number],))
            yield Use(size.store_bytes / size.shards, path)

    for number in range(len(cores)):
        simulation.start(worker(number))
    seconds = simulation.run()
    return Phase("preprocessing", seconds, machines.busy(seconds, cores))


def simulate_epoch(settings: Settings, rates: Rates, size: DrivingSize, near: float) -> Phase:
    """Simulate an epoch: each machine reads the windows of its stream of shards, two ahead, and trains on them.

    With fewer streams than machines, several machines read the same shards. near: fraction of the shards that a machine
    has in its cache; those of a machine alone are on its disk anyway.
    """
    work = _EpochWork.of(settings, rates, size, near)
    simulated = min(work.windows, max(_MOST_TRANSFERS // settings.machines, 10 * _WINDOWS_AHEAD))
    simulation, machines = Simulation(), _Machines(settings, {"training": 1.0, "gradients": 1.0})
    fetched = Semaphore()
    room = [Semaphore(_WINDOWS_AHEAD) for _ in range(settings.machines)]

    def fetch(machine: int) -> Process:
        for _ in range(simulated):
            yield Take(room[machine])
            yield from work.transfers(machines, machine)
            simulation.put(fetched)

    def train() -> Process:
        for _ in range(simulated):
            yield Take(fetched, settings.machines)
            yield Use(work.training_seconds, (machines.others["training"],))
            if work.exchange_seconds:
                yield Use(work.exchange_seconds, (machines.others["gradients"],))
            for each in room:
                simulation.put(each)

    simulation.start(train())
    for machine in range(settings.machines):
        simulation.start(fetch(machine))
    seconds = simulation.run()
    return Phase("epoch", seconds * work.windows / simulated, machines.busy(seconds, []))


def fraction_near(settings: Settings, size: DrivingSize, epoch: int) -> float:
    """Return the fraction of the shards that are in a machine's cache when an epoch, counted from 1, begins.

    Each epoch brings a machine the shards of its stream, at random; the cache holds at most `cache_gb` of them.
    """
    seen = 1 - (1 - 1 / _streams(settings)) ** (epoch - 1)
    return min(seen, settings.cache_gb * GB / size.store_bytes)


def _streams(settings: Settings) -> int:
    return min(settings.window_streams or settings.machines, settings.machines)


@dataclass(frozen=True)
class _EpochWork:
    """The work of each machine: a number of windows, and for each one on average what follows.

    far_bytes: to read from the storage; disk_bytes: to read from its own disk; exchange_seconds: of gradients.
    """

    windows: int
    far_bytes: float
    disk_bytes: float
    training_seconds: float
    exchange_seconds: float

    @classmethod
    def of(cls, settings: Settings, rates: Rates, size: DrivingSize, near: float) -> "_EpochWork":
        streams = _streams(settings)
        windows = math.ceil(size.shards / streams / settings.window_shards)
        window_bytes = size.store_bytes / windows / streams
        if settings.machines == 1:
            far_bytes, disk_bytes = 0.0, window_bytes
        else:
            far_bytes, disk_bytes = (1 - near) * window_bytes, near * window_bytes
        if near and size.store_bytes <= settings.memory_gb * GB:
            disk_bytes = 0.0
        samples = size.training_samples / windows / settings.machines
        steps = samples / settings.batch_size
        exchanged = 2 * _GRADIENT_BYTES * (settings.machines - 1) / settings.machines  # by a ring
        exchange = exchanged / (settings.network_gbit * _GBIT) + rates.step_ms / 1000
        return cls(
            windows,
            far_bytes,
            disk_bytes,
            training_seconds=samples / (settings.machine_rate or settings.cores * rates.training_rate),
            exchange_seconds=steps * exchange if settings.machines > 1 else 0.0,
        )

    def transfers(self, machines: _Machines, machine: int) -> Iterator[Use]:
        """Yield how a machine gets a window: from the storage into its disk's cache, and from that disk."""
        disk = machines.disks[machine]
        if self.far_bytes:
            yield Use(self.far_bytes, (*machines.path(machine), disk))
        if self.disk_bytes:
            yield Use(self.disk_bytes, (disk,))
