"""The format recording: a log of the simulator -> rows, to be imported or exported.

It is imported for recordings whose images have another size than 320x160 pixels, which preprocess
refuses.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import MISSING, Items, LeftOut, Row, Seen, recorded_row
from bcclone.exchange.source_files import file_of, path_in_source, read_image
from bcclone.recording.edits import edits_path
from bcclone.recording.files import IMAGE_FOLDERS, LOG_NAME, ImageIndex
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import BY_MODEL, SIDECARS, read_drivers, read_trace
from bcclone.system.errors import UserError
from bcclone.system.location import as_local


def is_log(source: Path) -> bool:
    try:
        path = file_of(source, LOG_NAME)
        return path.suffix.lower() == ".csv" and path.is_file() and bool(read_log(path).row_count)
    except UserError:
        return False


def read_simulator_log(settings: ImportSettings, seen: Seen) -> Items:
    """Yield the rows of a log; those without usable images are left out."""
    path = file_of(settings.source, LOG_NAME)
    folder = path.parent
    names = [LOG_NAME] if path != settings.source else []  # the user may name a log that is a link
    for name in (*names, *(table.name for table in SIDECARS), edits_path(path).name):
        path_in_source(folder, name, settings.follow_links)
    log = read_log(path)
    index = ImageIndex(path)
    # in the folder of the images, a log is of the recording in the folder above
    home = folder.parent if folder.name in IMAGE_FOLDERS else folder
    for inner in map(as_local, index.folders):
        if inner.is_dir():
            path_in_source(home, os.path.relpath(inner, home), settings.follow_links)
    seen.is_middle_of_format = True
    for bad in log.bad_rows:
        yield LeftOut(bad.reason, place=f"{path}: line {bad.row}")
    named: list[str] = []  # names of the images that rows name
    for row in rows_of_log(log, index):
        named += [name for name, _ in row.images.values()]
        try:
            images = {}
            for camera, (name, file) in row.images.items():
                if name and file is None:
                    raise LeftOut(f"image {name} is missing", MISSING)
                if name:
                    images[camera] = _read(Path(file), home, settings.follow_links)
        except ValueError as error:
            yield LeftOut.of(row.place, error)
            continue
        yield replace(row, images=images, picture=row.images[CAMERAS[0]][0])
    seen.images_without_record = len(index.orphans(named))


def _read(path: Path, home: Path, follow_links: bool) -> bytes:
    """Return the content of an image; raises LeftOut and UserError as read_image().

    path: with the links in the path of its folder resolved, as ImageIndex has it
    """
    if follow_links:
        return read_image(path.parent, path.name, follow_links)
    return read_image(home, os.path.relpath(path, home.resolve()))


def rows_of_log(
    log: Log,
    index: ImageIndex,
    cameras: Sequence[str] = CAMERAS,
    recording: int = 0,
    first_episode: int = 0,
) -> Iterator[Row]:
    """Yield the rows of a log, without those that edits leave out.

    The images of a row are camera -> (name in the log, path or None for a missing file).

    recording, first_episode: their numbers among all that are exported
    """
    drivers = read_drivers(log.path.parent)
    # a row that drivers.csv does not name was driven by the model
    others = BY_MODEL if drivers else None
    trace = read_trace(log.path.parent)
    for row in log.rows.to_dict("records"):
        images = {camera: (row[camera], index.find(row[camera])) for camera in cameras}
        yield recorded_row(
            row,
            recording,
            images,
            first_episode,
            driven=drivers.get(row["center"], others),
            point=trace.get(row["center"]),
            place=f"{log.path}: line {row['line']}",
        )
