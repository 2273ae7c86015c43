"""The epoch's order: what it costs in time and memory for more and more samples."""

import time
import tracemalloc
from dataclasses import dataclass

import numpy as np
import psutil

from bcclone.bench import Measure
from bcclone.feed.order import shuffled

BAR_SAMPLES, _BAR_SECONDS, _BAR_BYTES = 10_000_000, 1.0, 8.0
SIZES = tuple(10**power for power in range(4, 10))
_BYTES_AT_LEAST = 8  # a sample, to be free before it is tried
_LONGEST_SECONDS, _SLOWER_BEYOND_CACHES = 240.0, 3.0
_REPEATED_BELOW, _REPEATS = 10**8, 5


@dataclass(frozen=True)
class OrderCost:
    """What the order of so many samples took; measured False: calculated from the size before it."""

    samples: int
    seconds: float
    bytes_per_sample: float
    measured: bool = True


def order_costs(most: int = SIZES[-1]) -> list[OrderCost]:
    """Return the costs of the sizes up to `most`, calculated where memory or patience do not allow to measure."""
    costs: list[OrderCost] = []
    for size in (size for size in SIZES if size <= most):
        growth = size / costs[-1].samples if costs else 0.0
        too_large = size * _BYTES_AT_LEAST > psutil.virtual_memory().available / 2
        if costs and (too_large or costs[-1].seconds * growth * _SLOWER_BEYOND_CACHES > _LONGEST_SECONDS):
            costs.append(OrderCost(size, costs[-1].seconds * growth, costs[-1].bytes_per_sample, measured=False))
        else:
            costs.append(_measure(size))
    return costs


def _measure(size: int) -> OrderCost:
    shuffled(1, 0, 0)  # NumPy loads its generators the first time
    tracemalloc.start()  # counts NumPy's memory; it costs nothing within a shuffle
    seconds = []
    for epoch in range(_REPEATS if size < _REPEATED_BELOW else 1):
        begun = time.perf_counter()
        shuffled(size, 0, epoch)
        seconds.append(time.perf_counter() - begun)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return OrderCost(size, float(np.median(seconds)), peak / size)


def judge_order(costs: list[OrderCost]) -> list[Measure]:
    """Return the measures of ten million samples."""
    (cost,) = (cost for cost in costs if cost.samples == BAR_SAMPLES)
    return [
        Measure("order of 10,000,000 samples", cost.seconds, "s", _BAR_SECONDS, least=False),
        Measure("memory of that order", cost.bytes_per_sample, "bytes/sample", _BAR_BYTES, least=False),
    ]


def to_rows(costs: list[OrderCost]) -> list[str]:
    """Return the table, a line for each size."""
    head = [f"{'samples':>14}{'order, s':>12}{'bytes/sample':>14}"] if costs else []
    return head + [
        f"{cost.samples:>14,}{cost.seconds:>12.6f}{cost.bytes_per_sample:>14.2f}"
        + ("" if cost.measured else "  calculated")
        for cost in costs
    ]
