"""preprocess, store, atomic: what cannot be converted or written, and what is no whole store."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from bcclone.atomic import check_output
from bcclone.samples import SAMPLE
from bcclone.store import Store, StoreWriter
from tests.messages.made import DRIVEN, as_anybody, make_recording
from tests.messages.told import Message, run_command, tabled
from tests.test_store import PREPROCESSING, change, some_frames, write_store

PLACE = Path("data.h5")


def preprocess(*line):
    return run_command("preprocess", *line)


def opened(edit):
    write_store(PLACE, some_frames(10))
    change(PLACE, edit)
    return Store(PLACE)


def without_column(file):
    del file["samples"]
    file["samples"] = np.zeros(3, np.uint8)


def with_other_frames(file):
    del file["frames"]
    file["frames"] = np.zeros((10, 4, 4, 3), np.uint8)


def with_frames_elsewhere(file):
    del file["frames"]
    file.create_dataset("frames", (10, 8, 16, 3), np.uint8, chunks=(1, 8, 16, 3))


def dangling(file):
    file["samples"][0] = np.array([(99,) + (0,) * 7], SAMPLE)[0]


def shortened_while_read():
    write_store(PLACE, some_frames(10))
    with Store(PLACE) as store, StoreWriter(Path("new.h5"), PREPROCESSING, 10) as writer:
        os.truncate(PLACE, store.frames_offset)
        writer.append_from(store)


def unreadable():
    write_store(PLACE, some_frames(10))
    PLACE.chmod(0)
    Path().chmod(0o755)
    with as_anybody():
        Store(PLACE)


def unwritable():
    with as_anybody():
        check_output(Path("/data.h5"), False, "")


def existing():
    PLACE.touch()
    return preprocess("rec")


def over_a_recording():
    make_recording("rec")
    return preprocess("rec", "-o", "rec/driving_log.csv", "--force")


def over_a_model():
    make_recording("rec")
    with h5py.File(PLACE, "w") as file:
        file.attrs["model_config"] = "{}"
    return preprocess("rec", "--force")


def added_otherwise():
    make_recording("rec")
    preprocess("rec", "--size", 16)
    return preprocess("rec", "--add", "--size", 8)


def other_camera():
    return preprocess(make_recording("rec"), "--cameras", "left")


def of_no_images():
    return preprocess(make_recording("rec", image=None))


def of_many_bad_rows():
    log = make_recording("rec") / "driving_log.csv"
    log.write_text(log.read_text() + log.read_text().replace(DRIVEN, "25,0,0,12"))
    return preprocess("rec")


MESSAGES = [
    Message("atomic.py", "… is a folder; give the name of a file", lambda: preprocess("rec", "-o", "."), (".",)),
    Message("atomic.py", "… is no regular file; give the name of a file",
            lambda: preprocess("rec", "-o", "/dev/null"), ("/dev/null",)),
    Message("atomic.py", "… exists already; …", existing, ("data.h5 ", "--force", "--add", "name another -o")),
    Message("atomic.py", "…: the folder … does not exist; make it first, or choose another place",
            lambda: preprocess("rec", "-o", "no/data.h5"), ("no/data.h5: ", "/no does not exist")),
    Message("atomic.py", "…: no permission to write in …; choose another place", unwritable, ("/data.h5: ",)),
    Message("commands/preprocess.py", "--preprocess … says the size, too; leave out --size",
            lambda: preprocess("rec", "--preprocess", "carnd-128-rgb", "--size", 64), ("carnd-128-rgb",)),
    Message("commands/preprocess.py", "… was made with other options; leave them out to add to it alike, or make a new "
            "store:…", added_otherwise, ("data.h5 was", "width: 16, and 8 is given")),
    Message("commands/preprocess.py", "…, expected a number or auto",
            lambda: preprocess("rec", "--correction", "much"), ("--correction: 'much'",)),
    Message("commands/preprocess.py", "…, expected a number of pixels or WIDTHxHEIGHT",
            lambda: preprocess("rec", "--size", "big"), ("--size: 'big'",)),
    Message("preprocess/convert.py", "… is one of the recordings; name another -o", over_a_recording,
            ("rec/driving_log.csv",)),
    Message("preprocess/convert.py", "… is a model; name another -o", over_a_model, ("data.h5",)),
    Message("preprocess/plan.py", "…: names no image of the cameras chosen; choose others with --cameras",
            other_camera, ("rec/driving_log.csv: ",)),
    Message("preprocess/plan.py", "…: none of the … images can be used; looked in …", of_no_images,
            ("rec/driving_log.csv: none of the 3 images", "rec/IMG", "the last: row 3, image 2026", "is missing")),
    Message("preprocess/plan.py", "… rows and … images cannot be used, more than …; mend the recording, or go on "
            "without them with --allow-skips:\n…", of_many_bad_rows,
            ("3 rows and 0 images", "more than 5%", "rec/driving_log.csv, row 4: steering is 25, expected -1 to 1")),
    Message("store/writer.py", "…: the store needs … MB and … MB are free; make room, choose another place, or a "
            "smaller --size", lambda: StoreWriter(PLACE, PREPROCESSING, 10**13), ("needs 3840000000.3 MB",)),
    Message("store/reader.py", "…: a folder, expected a store; make one of it with: python preprocess.py … -o data.h5",
            lambda: Store(Path("/")), ("preprocess.py /",)),
    Message("store/reader.py", "…: there is no such store; make one with: python preprocess.py RECORDING... -o …",
            lambda: Store(PLACE), ("data.h5: ", "-o data.h5")),
    Message("store/reader.py", "…: no permission to read it; change its permissions, or name another", unreadable,
            ("data.h5: ",)),
    Message("store/reader.py", "schema version …, expected …",
            lambda: opened(lambda file: file.attrs.__setitem__("schema_version", 99)),
            ("data.h5: not a whole store: schema version 99, expected 1; make one with",)),
    Message("store/reader.py", "its preprocessing and the hash of it do not belong together",
            lambda: opened(lambda file: file.attrs.__setitem__("preprocessing_hash", "0")), ("data.h5: ",)),
    Message("store/reader.py", "its sample table has other columns", lambda: opened(without_column), ("data.h5: ",)),
    Message("store/reader.py", "its samples point at frames that are not there", lambda: opened(dangling),
            ("data.h5: ",)),
    Message("store/reader.py", "its frames are … of shape …, expected uint8 of …", lambda: opened(with_other_frames),
            ("data.h5: ", "(4, 4, 3), expected uint8 of (8, 16, 3)")),
    Message("store/reader.py", "its frames are not all in the file", lambda: opened(with_frames_elsewhere),
            ("data.h5: ",)),
    Message("store/reader.py", "…: not a whole store: …; make one with: python preprocess.py RECORDING... -o data.h5",
            lambda: opened(lambda file: file.__delitem__("rows")), ("data.h5: ", "rows")),
    Message("store/writer.py", "…: was cut short while it was read; make it anew", shortened_while_read,
            ("data.h5: ",)),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
