"""Train models/any-camera.h5 and models/any-road.h5, from samples made here.

    python docs/train_any_camera.py samples FOLDER
    python docs/train_any_camera.py networks FOLDER --seed 0

samples renders four kinds of frames into FOLDER, and lists them as two stores: FOLDER/any for any
camera, and FOLDER/simulator for the simulator's. A kind that is there is not rendered again.

networks trains a network on the first store, FOLDER/first_SEED.h5, and goes on with it on the
second one, which gives FOLDER/any_road_SEED.h5. FOLDER/any_camera_SEED.h5 has the mean weights of
both: the first network reads other cameras best once they are calibrated, and the second one before
that. models/any-camera.h5 has seed 1, and models/any-road.h5 seed 2.

benchmarks/lab-log/2026-11.md says how long both take ("three seeds by one command"), and what the
networks reach ("calibrate without a prior of lenses, and new networks").
"""

import argparse
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bcclone.dataset.shards import Manifest, Shard, read_shards
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.dataset.store_writer import content_hash
from bcclone.model.model_file import mean_content
from bcclone.system.files import sha256_of, write_bytes

# options of `bcclone simulate roads` for each kind of frames. A mirror image shows what a camera
# sees that looks to the other side, so frames of the simulator's own camera have none.
KINDS = {
    "own": "--roads 250 --frames 400 --first-road 1300000 "
    "--any-camera 1 --set own-camera=1 --no-flip",
    "scenes": "--roads 600 --frames 200 --first-road 700000 --set any-lens=0.6 --no-flip",
    "plain": "--roads 600 --frames 200 --first-road 1500000 --no-flip",
    "sketches": "--roads 540 --frames 400 --first-road 2500000 --any-camera 1",
}
STORES = {"any": ("own", "scenes", "sketches"), "simulator": ("own", "scenes", "plain")}

TRAINING = "--predict path --dropout 0.3 --batch-size 128 --no-augment"
FIRST_EPOCHS = 4
SECOND_TRAINING = (
    "--optimizer muon --learning-rate 0.003 --epochs 3 "
    "--set batch-norm=learned --set hand-over=trained"
)


def main() -> None:
    """Run the command that the line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sampling = commands.add_parser("samples", help="render the frames, and list them as stores")
    sampling.add_argument("folder", type=Path)
    training = commands.add_parser("networks", help="train the networks of a seed")
    training.add_argument("folder", type=Path, help="folder of the samples")
    training.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.command == "samples":
        make_samples(arguments.folder)
    else:
        train_networks(arguments.folder, arguments.seed)


def _bcclone(command: str, *words: str | Path) -> None:
    """Run a command of bcclone; raises CalledProcessError if it fails."""
    line = [sys.executable, "-m", "bcclone", *command.split(), *map(str, words)]
    subprocess.run(line, check=True)


# ---- samples


def make_samples(folder: Path) -> None:
    """Render the kinds that are missing, and list them as stores."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, options in KINDS.items():
        store = _store_of(folder, kind)
        if not store.exists():
            _bcclone(f"simulate roads --size 64 --validation 0.04 {options}", "-o", store)
    for name, kinds in STORES.items():
        list_stores([_store_of(folder, kind) for kind in kinds], folder / name)


def _store_of(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.h5"


def list_stores(paths: Sequence[Path], folder: Path) -> None:
    """Write a folder of shards that lists stores of one file, which lie beside it.

    Raises UserError.
    """
    recordings: list[RecordingInfo] = []
    shards = []
    for path in paths:
        with Store(path) as store:
            shards.append(_shard(store, path, first_recording=len(recordings)))
            recordings.extend(store.recordings)
            preprocessing = store.preprocessing
            sample_settings = store.sample_settings
    folder.mkdir(exist_ok=True)
    manifest = Manifest(preprocessing, sample_settings, tuple(recordings), tuple(shards))
    content, _ = read_shards(folder, manifest)
    frames = content.frames
    checksums = [zlib.crc32(frames[number].data) for number in range(len(frames))]
    digest = content_hash(preprocessing, checksums)
    digest.update(content.rows.tobytes())
    digest.update(content.samples.tobytes())
    replace(manifest, content_hash=digest.hexdigest()).write(folder)


def _shard(store: Store, path: Path, first_recording: int) -> Shard:
    """Return how the manifest of a folder beside a store names it."""
    return Shard(
        name=f"../{path.name}",
        recording=first_recording,
        rows=len(store.rows),
        samples=len(store.samples),
        frames=len(store.frames),
        copied=(),
        content_hash=store.content_hash,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )


# ---- networks


def train_networks(folder: Path, seed: int) -> None:
    """Train both networks of a seed, and write their mean, too."""
    first = folder / f"first_{seed}.h5"
    any_road = folder / f"any_road_{seed}.h5"
    training = f"{TRAINING} --seed {seed} --no-plots"
    _bcclone(f"model {training} --epochs {FIRST_EPOCHS}", folder / "any", "-o", first)
    _bcclone(
        f"model {training} {SECOND_TRAINING}",
        folder / "simulator",
        "--from",
        first,
        "-o",
        any_road,
    )
    mean = mean_content(first.read_bytes(), any_road.read_bytes(), training={})
    write_bytes(folder / f"any_camera_{seed}.h5", mean)


if __name__ == "__main__":
    main()
