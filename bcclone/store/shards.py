"""Read the shards of a store as one: its rows, samples and frames are numbered through all of them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.errors import UserError
from bcclone.recording import CAMERAS
from bcclone.samples import NO_FRAME, SAMPLE, RowTable
from bcclone.store.manifest import Manifest, Shard
from bcclone.store.reader import StoreContent, read_store_file


def read_shards(folder: Path, manifest: Manifest) -> StoreContent:
    """Read the shards in a folder; raises UserError if one of them is missing or damaged."""
    samples = np.empty(sum(shard.samples for shard in manifest.shards), SAMPLE)
    rows, frames = [], []
    extras: list[str] = []
    first_row = first_frame = first_sample = 0
    for shard in manifest.shards:
        content = read_shard(folder, shard, manifest)
        number_of = np.append(first_frame + np.arange(shard.frames), np.array(shard.borrowed, np.int64))
        part = samples[first_sample : first_sample + shard.samples]
        part[:] = content.samples
        part["frame"] = number_of[content.samples["frame"]]
        part["row"] += first_row
        rows.append(_renumbered(content.rows, number_of, shard.recording))
        extras.extend(content.extras or [""] * shard.rows)
        (file,) = content.frames
        frames.append(type(file)(file.path, file.offset, shard.frames, file.version))
        first_row, first_frame = first_row + shard.rows, first_frame + shard.frames
        first_sample += shard.samples
    return StoreContent(
        preprocessing=manifest.preprocessing,
        sample_settings=manifest.sample_settings,
        content_hash=manifest.content_hash,
        samples=samples,
        rows=np.concatenate(rows),
        extras=extras if any(extras) else [],
        recordings=list(manifest.recordings),
        frames=frames,
    )


def read_shard(folder: Path, shard: Shard, manifest: Manifest) -> StoreContent:
    """Read a shard; raises UserError if it is not the one that the manifest describes."""
    path = folder / shard.name
    remedy = f"make it again with: python preprocess.py RECORDING... -o {folder} --force --resume"
    if not path.is_file():
        raise UserError(f"{path}: this shard of the store is missing; {remedy}")
    content = read_store_file(path)
    size = content.frames[0].version[0]
    if size != shard.bytes:
        raise UserError(f"{path}: the shard has {size} bytes, expected {shard.bytes}; {remedy}")
    counts = len(content.rows), len(content.samples), content.frames[0].count
    expected = shard.rows, shard.samples, shard.frames + len(shard.borrowed)
    of_this = content.content_hash == shard.content_hash and content.preprocessing == manifest.preprocessing
    if counts != expected or not of_this:
        raise UserError(f"{path}: not the shard that the manifest describes; {remedy}")
    return content


def _renumbered(rows: RowTable, number_of: npt.NDArray[np.int64], recording: int) -> RowTable:
    """Return the rows of a shard with the numbers of the whole store. number_of: of each frame of the shard."""
    rows = rows.copy()
    rows["recording"] += recording
    for camera in CAMERAS:
        frame = rows[f"frame_{camera}"]
        rows[f"frame_{camera}"] = np.where(frame == NO_FRAME, NO_FRAME, np.append(number_of, NO_FRAME)[frame])
    return rows
