"""A .keras archive (zip) -> its texts and arrays; what a part unpacks to is bounded before it is unpacked."""

import io
import json
import zipfile
from typing import BinaryIO

import h5py

from bcclone.rebuild import Refused
from bcclone.rebuild.hdf5 import LONGEST_TEXT, MOST_NUMBERS, Weights, read_folders

_MOST_MEMBERS = 1000
_LARGEST_WEIGHTS = 8 * MOST_NUMBERS  # bytes; twice a network's, since the optimizer may lie beside it


def read_archive(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    """Return the texts and arrays of an open archive; raises Refused, and what zipfile, json and h5py raise."""
    with zipfile.ZipFile(file) as archive:
        members = {item.filename: item for item in archive.infolist()}
        if len(members) > _MOST_MEMBERS:
            raise Refused(f"holds {len(members)} files, expected at most {_MOST_MEMBERS}")
        if missing := {"metadata.json", "config.json", "model.weights.h5"} - set(members):
            raise Refused(f"is no whole .keras archive: it lacks {', '.join(sorted(missing))}")
        metadata = json.loads(_member(archive, members["metadata.json"], LONGEST_TEXT))
        texts = {
            "model_config": _member(archive, members["config.json"], LONGEST_TEXT).decode(),
            "keras_version": str(metadata.get("keras_version"))[:40],
        }
        weights = _member(archive, members["model.weights.h5"], _LARGEST_WEIGHTS)
    with h5py.File(io.BytesIO(weights), "r") as stored:
        return texts, read_folders(stored)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Return a part's content; what it announces is compared first, and no more than that is unpacked."""
    if member.file_size > most:
        raise Refused(f"its {member.filename} unpacks to {member.file_size} bytes, expected at most {most}")
    with archive.open(member) as stream:
        return stream.read(most)
