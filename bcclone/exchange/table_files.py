"""Which file is the table of a source: the one that is named, or that lies beside the pictures."""

import re
from dataclasses import replace
from pathlib import Path

from bcclone.exchange.exchange_settings import FROM_MOTION, ImportSettings
from bcclone.exchange.inquiry import Inquiry, NotStated
from bcclone.exchange.plain_names import plain
from bcclone.exchange.questions import Missing
from bcclone.exchange.source_files import (
    IMAGE_ENDINGS,
    can_be_listed,
    files_inside,
    folders_in,
    path_in_source,
)
from bcclone.recording.run_tables import SIDECARS
from bcclone.recording.written_times import WrittenTimes, times_in_names
from bcclone.system.errors import shown_command
from bcclone.system.settings import option_words

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_NAMED_FILES = 4  # that a question names
# endings of files that may hold a steering, and are not read
_DATA_ENDINGS = (
    ".json", ".jsonl", ".ndjson", ".parquet", ".feather", ".arrow", ".xlsx", ".xls", ".ods",
    ".pkl", ".pickle", ".npy", ".npz", ".mat", ".h5", ".hdf5", ".xml", ".yaml", ".yml", ".bag",
    ".db3", ".mcap", ".tfrecord", ".log", ".dat", ".srt", ".vtt", ".ass", ".gpx", ".sqlite", ".db",
    ".blf", ".asc", ".mf4", ".avro", ".orc", ".csv.gz", ".tsv.gz", ".txt.gz", ".json.gz",
    ".jsonl.gz", ".csv.zip", ".csv.bz2", ".csv.xz", ".csv.zst",
)  # fmt: skip
_CLASSES = re.compile(
    r"(?:(?:go|turn|is|move|class|label)_?)?(?:left|right|straight|forwards?|backwards?|back|"
    r"reverse|stop|up|down|center|[awsd]|\d{1,2})"
)


def find_tables(settings: ImportSettings) -> list[Path]:
    """Return the table that was named, or those beside the pictures; of them, one is to be chosen.

    Files .txt count only where there is no .csv or .tsv. Where no table lies beside the pictures,
    those in the folders beside them count.
    """
    source = settings.source
    folder = source if source.is_dir() else source.parent
    if settings.table:
        # a name alone may be that of a table in the folder
        inside = folder / settings.table
        return [inside if inside.is_file() and not settings.table.exists() else settings.table]
    if source.suffix.lower() in TABLE_ENDINGS:
        return [source]
    paths = _tables_in(folder)
    if not paths and source.is_dir():
        paths = [path for inner in folders_in(folder) for path in _tables_in(inner)]
    for path in paths:
        path_in_source(folder, str(path.relative_to(folder)), settings.follow_links)
    # the table of a video often has its name
    return [path for path in paths if path.stem == source.stem] or paths


def _tables_in(folder: Path) -> list[Path]:
    paths = files_inside(folder, TABLE_ENDINGS[:2]) or files_inside(folder, TABLE_ENDINGS[2:])
    # those next to a log of the simulator hold no steering
    others = {table.name for table in SIDECARS}
    return [path for path in paths if path.name not in others]


def without_table(settings: ImportSettings, folder: Path) -> NotStated:
    """Return the refusal of pictures without a table: it names what may be one instead."""
    inquiry = Inquiry(settings)
    inquiry.note("pictures", str(folder))
    inner = folders_in(folder)
    classes = [path.name for path in inner if _CLASSES.fullmatch(plain(path.name))]
    others = [path for path in inner if path.name not in classes]
    near = [folder, *inner] if settings.source.is_dir() else [folder]
    files = [path.name for each in near for path in files_inside(each, _DATA_ENDINGS)]
    parent = folder.resolve().parent
    above = [parent] if can_be_listed(parent) else []
    files += [f"../{path.name}" for each in above for path in files_inside(each, _DATA_ENDINGS)]
    classes_above = [name for each in above for name in _class_folders(each)]
    if len(classes) > 1 and not any(files_inside(path, IMAGE_ENDINGS) for path in others):
        inquiry.ask([Missing("classes as folders", facts={"folders": classes})])
    elif _CLASSES.fullmatch(plain(folder.resolve().name)) and len(classes_above) > 1:
        inquiry.ask([Missing("classes as folders", facts={"folders": classes_above})])
    if files:
        facts = {"files": files[:_NAMED_FILES], "count": len(files)}
        inquiry.ask([Missing("data", facts=facts)])
    facts = {"folder": str(folder), "endings": list(TABLE_ENDINGS)}
    facts |= {"from_motion": _from_motion(settings, folder)}
    tables = [str(path) for each in above for path in _tables_in(each)]
    kind = "no table"
    if tables:
        kind = "tables above"
        facts["tables_above"] = tables
    inquiry.ask([Missing(kind, "table", "TABLE", facts)])
    return inquiry.refusal()


def _from_motion(settings: ImportSettings, folder: Path) -> str:
    """Return the command that estimates the steering of pictures or of a film."""
    given = ImportSettings(settings.source, settings.output, follow_links=settings.follow_links)
    words = option_words(replace(given, steering=FROM_MOTION))
    stems = [path.stem for path in files_inside(folder, IMAGE_ENDINGS)]
    if stems:
        words += ["--fov", "DEGREES"]
    if stems and not isinstance(times_in_names(stems), WrittenTimes):
        words += ["--frame-rate", "HZ"]
    return shown_command("import", settings.source, *words)


def _class_folders(folder: Path) -> list[str]:
    return [
        path.name
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.is_symlink() and _CLASSES.fullmatch(plain(path.name))
    ]
