"""A store of very many samples -> what opening and running a feed adds to this program's own memory.

The frames of such a store are few, since they never count: only tables and buffers do. Its rows are those of another
store, over and over, an hour later each time; its samples come from `bcclone.samples` as ever.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bcclone.bench import Measure
from bcclone.bench.feeds.alone import alone
from bcclone.bench.feeds.meter import used_memory
from bcclone.feed.feed import Feed
from bcclone.feed.opening import open_feed
from bcclone.feed.settings import DrawSettings, FeedSettings
from bcclone.samples import SAMPLE, SampleSettings, sample_parts
from bcclone.store import Store, StoreWriter, row_frame, row_table

_FEED, _BAR_MB, _BAR_BYTES = "hdf5-shuffle", 300.0, 32.0
_BATCH = 64
_SETTINGS = SampleSettings(validation=0.0)
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class TableMemory:
    """samples: how many; added_mb: of memory of its own, when the feed has run for an epoch; table_bytes: a sample."""

    samples: int
    added_mb: float
    table_bytes: float


def write_store(path: Path, source: Path, samples: int) -> int:
    """Write a store of at least so many samples of the frames of `source`, all for training; return how many."""
    with Store(source) as store:
        rows = row_frame(store.rows)
        rows = rows[(rows["frame_center"] >= 0) & (rows["frame_left"] >= 0) & (rows["frame_right"] >= 0)]
        rows = rows.assign(validation=False)
        rows = _repeated(rows, -(-samples // sum(map(len, sample_parts(rows, _SETTINGS)))))
        room = len(rows) * 400 + 2 * samples * SAMPLE.itemsize
        with StoreWriter(path, store.preprocessing, len(store.frames), room) as writer:
            writer.append_from(store)
            writer.finish(sample_parts(rows, _SETTINGS), row_table(rows), [], store.recordings, {})
    with Store(path) as written:
        return len(written.samples)


def _repeated(rows: pd.DataFrame, times: int) -> pd.DataFrame:
    """Return the rows so many times over, each time later and with episodes of their own."""
    episodes = int(rows["episode"].max()) + 1
    parts = [
        rows.assign(time_ms=rows["time_ms"] + number * _HOUR_MS, episode=rows["episode"] + number * episodes)
        for number in range(times)
    ]
    return pd.concat(parts, ignore_index=True)


def measure_table_memory(path: Path) -> TableMemory:
    """Open a store and run an epoch of the feed in this process, which should be a fresh one."""
    before = used_memory()
    with Store(path) as store, open_feed(store, FeedSettings(feed=_FEED), DrawSettings(_BATCH)) as feed:
        samples, most = _run_epoch(feed)
        table = store.samples.nbytes / len(store.samples)
        return TableMemory(samples, most - (before.anonymous_mb or 0.0), table)


def _run_epoch(feed: Feed) -> tuple[int, float]:
    """Return how many samples came, and how many MB this process had of its own at most."""
    samples, most = 0, 0.0
    with feed.epoch(1) as batches:
        for number, batch in enumerate(batches):
            samples += len(batch.images)
            if number % 1000 == 0:
                most = max(most, used_memory().anonymous_mb or 0.0)
        most = max(most, used_memory().anonymous_mb or 0.0)
    return samples, most


def judge_tables(few: TableMemory, many: TableMemory) -> list[Measure]:
    """Return the measures of the larger store, and what each further sample costs, tables, order and all."""
    growth = (many.added_mb - few.added_mb) * 1e6 / (many.samples - few.samples)
    return [
        Measure(f"{_FEED}, own memory, {many.samples:,} samples", many.added_mb, "MB", _BAR_MB, least=False),
        Measure("sample table", many.table_bytes, "bytes/sample", _BAR_BYTES, least=False),
        Measure("own memory for each further sample", growth, "bytes/sample"),
    ]


def measure_tables(folder: Path, source: Path, samples: int) -> list[Measure]:
    """Write two stores into `folder`, of a tenth and of all of the samples, and judge what they add to a process."""
    answers = []
    for count in (samples // 10, samples):
        path = folder / f"samples-{count}.h5"
        write_store(path, source, count)
        answers.append(alone(measure_table_memory, path))
        path.unlink()
    return judge_tables(*answers)
