"""Make models/any-camera.h5 and models/any-road.h5 again, from samples that are made here.

    python -m models.making samples FOLDER
    python -m models.making networks FOLDER --seed 0

samples renders four kinds of frames into FOLDER, and lists them as two stores: FOLDER/any for any
camera, and FOLDER/simulator for the simulator's. A kind that is there is not rendered again.

networks trains a network on the first store, FOLDER/first_SEED.h5, and goes on with it on the
second one, which gives FOLDER/any_road_SEED.h5. FOLDER/any_camera_SEED.h5 has the mean weights of
both: the first network reads other cameras best once they are calibrated, and the second one before
that. models/any-camera.h5 has seed 1, and models/any-road.h5 seed 2.

README.md beside this file says how long both take and what the networks reach.
"""

import argparse
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bcclone.dataset.preprocessing import choose_preprocessing
from bcclone.dataset.shards import Manifest, Shard, open_store, read_shards
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.dataset.writer import content_hash
from bcclone.model.model_file import mean_content
from bcclone.system.files import sha256_of, write_bytes
from models.making.samples import Roads, make_samples

# Mirror images of frames of the simulator's own camera would be those of a camera that looks to
# the other side; only sketches have them.
KINDS = {
    "own": Roads(250, 400, first_road=1_300_000, any_camera=1.0, own_camera=1.0),
    "scenes": Roads(600, 200, first_road=700_000, any_lens=0.6),
    "plain": Roads(600, 200, first_road=1_500_000),
    "sketches": Roads(540, 400, first_road=2_500_000, any_camera=1.0, flip=True),
}
STORES = {"any": ("own", "scenes", "sketches"), "simulator": ("own", "scenes", "plain")}
SIZE = (64, 64)

TRAINING = "--predict path --dropout 0.3 --batch-size 128 --no-augment"
FIRST_EPOCHS = 4
SECOND_TRAINING = (
    "--optimizer muon --learning-rate 0.003 --epochs 3 --batch-norm learned --hand-over trained"
)


def main() -> None:
    """Run the command that the line names."""
    parser = argparse.ArgumentParser(
        prog="python -m models.making",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sampling = commands.add_parser(
        "samples", help="render the frames, and list them as stores", allow_abbrev=False
    )
    sampling.add_argument("folder", type=Path)
    sampling.add_argument(
        "--share", type=float, default=1.0, help="of the roads, to try it (default: all)"
    )
    training = commands.add_parser(
        "networks", help="train the networks of a seed", allow_abbrev=False
    )
    training.add_argument("folder", type=Path, help="folder of the samples")
    training.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.command == "samples":
        render_kinds(arguments.folder, arguments.share)
    else:
        train_networks(arguments.folder, arguments.seed)


# ---- samples


def render_kinds(folder: Path, share: float = 1.0) -> None:
    """Render the kinds that are missing, and list them as stores.

    share: of the roads of each kind
    """
    folder.mkdir(parents=True, exist_ok=True)
    preprocessing = choose_preprocessing(None, SIZE)
    for kind, roads in KINDS.items():
        store = folder / f"{kind}.h5"
        if not store.exists():
            fewer = replace(roads, roads=max(round(share * roads.roads), 2))
            make_samples(store, fewer, preprocessing)
    for name, kinds in STORES.items():
        list_stores([folder / f"{kind}.h5" for kind in kinds], folder / name)


def list_stores(paths: Sequence[Path], folder: Path) -> None:
    """Write a folder of shards that lists stores of one file, which lie beside it.

    Raises UserError.
    """
    recordings: list[RecordingInfo] = []
    shards = []
    for path in paths:
        with open_store(path) as store:
            shards.append(_shard(store, path, first_recording=len(recordings)))
            recordings.extend(store.recordings)
            preprocessing = store.preprocessing
            sample_settings = store.sample_settings
    folder.mkdir(exist_ok=True)
    manifest = Manifest(preprocessing, sample_settings, tuple(recordings), tuple(shards))
    whole, _ = read_shards(folder, manifest)
    frames = whole.frames
    checksums = [zlib.crc32(frames[number].data) for number in range(len(frames))]
    digest = content_hash(preprocessing, checksums)
    digest.update(whole.rows.tobytes())
    digest.update(whole.samples.tobytes())
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
    training = f"model {TRAINING} --seed {seed} --no-plots"
    _bcclone(f"{training} --epochs {FIRST_EPOCHS}", folder / "any", "-o", first)
    _bcclone(f"{training} {SECOND_TRAINING}", folder / "simulator", "--from", first, "-o", any_road)
    mean = mean_content(first.read_bytes(), any_road.read_bytes(), training={})
    write_bytes(folder / f"any_camera_{seed}.h5", mean)


def _bcclone(command: str, *words: str | Path) -> None:
    """Run a command of bcclone; raises CalledProcessError if it fails."""
    line = [sys.executable, "-m", "bcclone", *command.split(), *map(str, words)]
    subprocess.run(line, check=True)


if __name__ == "__main__":
    main()
