"""Read the tables of stores, as the program that store_reader.py starts: in a process that the HDF5 library may crash.

In: the file of a store. Out: its attributes, where its frames lie, and its tables. The values are not checked here.
"""

from typing import Any

import h5py

from bcclone.system.hdf5_child import Table, serve
from bcclone.system.hdf5_file import (
    LONGEST_TEXT,
    Source,
    dataset_of,
    holds_texts,
    open_hdf5,
    read_array,
    read_integer,
    read_text,
    read_texts,
)

_LONGEST = {
    "preprocessing": LONGEST_TEXT,
    "preprocessing_hash": 200,
    "sample_settings": LONGEST_TEXT,
    "content_hash": 200,
}


def read(source: Source, question: Any) -> tuple[dict[str, Any], list[Table]]:
    """Return the head and the tables of a store: samples, rows, extras, recordings, and those that are asked for.

    question: the schema version that is expected, and names of other tables.
    """
    expected, others = question
    with open_hdf5(source) as file:
        if "model_config" in file.attrs and "schema_version" not in file.attrs:
            raise ValueError("it is a model")
        version = read_integer(file, "schema_version")
        if version != expected:
            raise ValueError(f"schema version {version}, expected {expected}")
        head: dict[str, Any] = {name: read_text(file, name, most) for name, most in _LONGEST.items()}
        head["frames"] = _place(dataset_of(file, "frames"))
        tables: list[Table] = [read_array(file, "samples"), read_array(file, "rows")]
        tables += [read_texts(file, name, source) for name in ("extras", "recordings")]
        for name in others:
            tables.append(read_texts(file, name, source) if holds_texts(file, name) else read_array(file, name))
        return head, tables


def _place(frames: h5py.Dataset) -> tuple[str, tuple[int, ...], int | None]:
    """Return the type and the shape of all frames, and the position of the first, None if they lie apart."""
    return str(frames.dtype), frames.shape, frames.id.get_offset()


if __name__ == "__main__":
    serve(read)
