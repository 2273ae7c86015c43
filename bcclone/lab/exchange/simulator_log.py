"""The format recording: a log of the simulator with images of another size, which preprocess does not take."""

from collections.abc import Iterator
from pathlib import Path

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.formats import MISSING, ExchangedRow, Format, UnusableImage, file_of, read_image
from bcclone.lab.exchange.left_out import Findings
from bcclone.recording.files import LOG_NAME, ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.recording.run_tables import SIDECARS, read_drivers, read_trace
from bcclone.system.errors import UserError


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the rows of a log, without those that edits leave out; those without usable images are counted."""
    log = read_log(path := file_of(settings.source, LOG_NAME))
    for table in SIDECARS:
        file_of(settings.source, table.name)  # none leads out of the folder
    index, drivers, trace = ImageIndex(path), read_drivers(path.parent), read_trace(path.parent)
    named: list[str] = []
    for bad in log.bad_rows:
        findings.leave_out(f"{path}: row {bad.row}", bad.reason)
    for row in log.rows.to_dict("records"):
        place = f"{path}: row {row['line']}"
        with findings.usable(place):
            names = {camera: row[camera] for camera in CAMERAS if row[camera]}
            named += names.values()
            files = {camera: index.find(name) for camera, name in names.items()}
            if missing := [names[camera] for camera, file in files.items() if not file]:
                raise UnusableImage(MISSING, f"image {missing[0]} is missing")
            images = {camera: read_image(Path(file).parent, Path(file).name) for camera, file in files.items() if file}
            values = {name: row[name] for name in ("episode", "time_ms", *NUMBERS)}
            driven, point = drivers.get(row["center"]), trace.get(row["center"])
            yield ExchangedRow(0, images=images, driven=driven, point=point, place=place, **values)
    findings.images_without_record = len(index.orphans(named))


def _is_log(source: Path) -> bool:
    try:
        path = file_of(source, LOG_NAME)
        return path.suffix.lower() == ".csv" and path.is_file() and bool(read_log(path).row_count)
    except UserError:
        return False


FORMAT = Format("recording", _is_log, _read, expected=f"a {LOG_NAME} of the simulator")
