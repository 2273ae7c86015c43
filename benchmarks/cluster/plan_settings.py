"""Settings of a plan: how much driving, on which machines, and the rates at which these work."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json
from bcclone.system.settings import check_settings, setting


@dataclass(frozen=True)
class Rates:
    """What the work costs. The defaults were measured on two cores, but for step_ms, which is assumed.

    row_bytes is from decision 0018, and the others are from docs/results/cluster.json. The benchmark "cluster" measures
    all but row_bytes and sample_us.

    image_rate: images that a core decodes and writes in a second; row_ms, row_bytes: time and memory of the command
    that starts the conversion, for each row; shard_ms: its time, and Dask's, for each shard; open_ms, sample_us: time
    to open each shard of a store, and to read each sample; training_rate: samples that a core trains on in a second;
    step_ms: how much longer a step of several workers takes.
    """

    image_rate: float = 1020.0
    row_ms: float = 0.046
    row_bytes: float = 1600.0
    shard_ms: float = 15.5
    open_ms: float = 5.9
    sample_us: float = 0.12
    training_rate: float = 329.0
    step_ms: float = 5.0

    def __post_init__(self) -> None:
        if not all(0 <= value < float("inf") for value in vars(self).values()):
            raise ValueError(f"{self}, expected no negative number")
        if not self.image_rate or not self.training_rate:
            raise ValueError("image_rate and training_rate, expected more than 0")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the rates in a result of `python -m benchmarks cluster --json`; raises UserError."""
        try:
            return from_json(cls, json.loads(path.read_text(encoding="utf-8"))["rates"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or (f"no {error}" if isinstance(error, KeyError) else error)
            raise UserError(
                f"{path}: no rates ({reason}), expected a result of: python -m benchmarks cluster --json > {path}"
            ) from None


def _rate(text: str, shown: str) -> Any:
    return setting(None, text, unit="N", minimum=0, above_minimum=True, shown=shown)


@dataclass(frozen=True)
class Settings:
    """Hours of driving to preprocess and to train on, on which machines, and at which rates.

    A rate that is None comes from the file, or is a default.
    """

    hours: float = setting(
        1000.0,
        "hours of driving at 15 Hz and three cameras",
        unit="HOURS",
        minimum=0,
        maximum=1e6,
        above_minimum=True,
    )
    machines: int = setting(1, "number of machines", minimum=1, maximum=10_000)
    cores: int = setting(16, "cores of a machine", minimum=1, maximum=1024)
    memory_gb: float = setting(128.0, "memory of a machine, in GB", unit="GB", minimum=1)
    disk_mb: float = setting(1000.0, "speed of a machine's disk, in MB/s; measured here: 1,041", unit="MB", minimum=1)
    cache_gb: float = setting(
        500.0, "disk space of a machine for shards that it has fetched, in GB", unit="GB", minimum=0
    )
    network_gbit: float = setting(10.0, "speed of a machine's network, in Gbit/s; assumed", unit="GBIT", minimum=0.001)
    storage_gbit: float = setting(
        100.0,
        "speed of the storage that several machines share, in Gbit/s; assumed; one machine uses its own disk",
        unit="GBIT",
        minimum=0.001,
    )
    price: float = setting(1.0, "price of a machine for an hour, in any currency; assumed", unit="PRICE", minimum=0)
    epochs: int = setting(10, "epochs of the training", minimum=1, maximum=1 << 20)
    batch_size: int = setting(256, "samples that a machine trains on in a step", minimum=1)
    shard_mb: int = setting(256, "size of a shard, in MB", minimum=1, maximum=1 << 20)
    window_shards: int = setting(4, "number of shards that are shuffled together", minimum=1)
    window_streams: int = setting(
        0,
        "number of windows that each batch is drawn from; a machine reads the shards of one",
        minimum=1,
        zero="one for each machine",
    )
    rates: Path | None = setting(
        None, "take the rates from this result of python -m benchmarks cluster --json", unit="FILE", shown="those below"
    )
    image_rate: float | None = _rate("images that a core converts in a second", "1020")
    training_rate: float | None = _rate("samples that a core trains on in a second; no GPU has been measured", "329")
    machine_rate: float | None = _rate(
        "samples that a machine with GPUs trains on in a second, instead", "none: its cores train"
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def chosen_rates(self) -> Rates:
        """Return the rates of these settings, of the file or by default, in this order; raises UserError."""
        rates = Rates() if self.rates is None else Rates.read(self.rates)
        chosen = {name: getattr(self, name) for name in ("image_rate", "training_rate")}
        return replace(rates, **{name: value for name, value in chosen.items() if value is not None})
