"""Recordings -> a store, or a report on their faults; edits of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.cluster.cluster_settings import ShardingSettings
from bcclone.commands.options import Given, Result, SettingsFile, command, notify
from bcclone.dataset.sample_settings import PreprocessSettings, SampleSettings
from bcclone.recording import EditSettings
from bcclone.system.errors import UserError
from bcclone.system.output import PICTURE, writing
from bcclone.system.settings import argument, setting
from bcclone.system.settings_file import read_settings_file

if TYPE_CHECKING:
    from bcclone.dataset.conversion import Conversion
    from bcclone.system.progress import Notify


@dataclass(frozen=True)
class Recordings:
    """The recordings to convert or to check."""

    recordings: tuple[str, ...] = argument(
        "folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern",
        (),
        unit="RECORDING",
        shown="driving_log.csv, or else the recordings in ./recordings/ or ./data/",
    )
    check: bool = setting(
        False,
        "only inspect the recordings and report their faults, with a remedy for each; exit code 1 if there are some",
    )
    view: Path | None = setting(
        None,
        "with --check of one recording, PNG to draw: the steering, the turns of the camera, frames with faults",
        unit="PICTURE",
        shown="none",
    )


@command(
    "turn recordings into a store",
    ShardingSettings,
    SampleSettings,
    left="an existing store is unchanged; a folder keeps its finished shards, which the same command and --resume "
    "complete",
)
def preprocess(given: Given, chosen: Recordings, file: SettingsFile) -> Result:
    """Turn recordings of the simulator into one HDF5 store for training.

    RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as 'recordings/*/'.
    Without it, the command reads driving_log.csv of the current folder, or else the recordings in ./recordings/ or
    ./data/.
    """
    if chosen.view and not chosen.check:
        raise UserError("--view draws what --check finds; give both", exit_code=2)
    in_file = read_settings_file(file.settings, ShardingSettings, SampleSettings) if file.settings else {}
    of_store, inputs = in_file | given.of(ShardingSettings), chosen.recordings
    adds_others = of_store.get("add") and {"validation_recordings", "test_recordings"} & set(of_store)
    if not inputs and (chosen.check or not adds_others):
        from bcclone.recording.files import default_inputs

        inputs = tuple(default_inputs())
        notify(f"no RECORDING named; taking {', '.join(inputs)}")
    if chosen.check:
        for kind in (ShardingSettings, SampleSettings):
            given.refuse(kind, "changes nothing in --check, which takes recordings as they are; leave it out")
        return _check(inputs, chosen.view)
    samples = {name: of_store.pop(name) for name in SampleSettings.__dataclass_fields__ if name in of_store}
    samples |= given.of(SampleSettings)
    result = convert(ShardingSettings(**of_store | {"inputs": inputs, "samples": samples}), notify)
    notes = *(f"note: {notice}" for notice in result.notices), *(f"skipped: {skip}" for skip in result.skips)
    return Result.of(result, notes=notes)


def convert(settings: PreprocessSettings, notify: "Notify" = lambda line: None) -> "Conversion":
    """Convert recordings to a store: one file, or, where `ShardingSettings` say so, a folder of shards."""
    if isinstance(settings, ShardingSettings) and settings.is_sharded:
        from bcclone.cluster.sharded_conversion import convert as convert_into_shards

        return convert_into_shards(settings, notify)
    from bcclone.dataset.conversion import convert as convert_into_file

    return convert_into_file(settings, notify)


def _check(inputs: Sequence[str], view: Path | None) -> Result:
    from bcclone.dataset.check import check
    from bcclone.dataset.findings import advise

    if view and view.suffix.lower() != ".png":
        raise UserError(f"--view {view}, expected the name of a picture that ends in .png", exit_code=2)
    with writing(view, PICTURE, force=True, inputs=inputs):
        reports = check(inputs)
        drawn = view if len(reports) == 1 and reports[0].is_diagnosed else None
        if view and not drawn and all(report.log for report in reports):
            raise UserError("--view draws one recording with images, of 200 rows or more; name one", exit_code=2)
        if drawn:
            from bcclone.pictures.plots.drive_pictures import plot_diagnosis

            plot_diagnosis(reports[0], drawn)
    diagnoses = [report.diagnosis for report in reports if report.diagnosis]
    advice = advise([one.coverage for one in diagnoses if one.coverage])
    parts = [report.as_text() for report in reports]
    parts += ["\n  ".join(("what to record next:", *advice))] if advice else []
    as_json = {"recordings": [report.as_json() for report in reports], "record_next": list(advice)}
    code = 2 if any(report.log is None for report in reports) else int(any(one.findings for one in diagnoses))
    return Result(as_json, "\n\n".join(parts), wrote=[drawn] if drawn else [], code=code)


@command(
    "list, delete and restore rows of a recording; correct its steering",
    left="the recording is unchanged; its edits are the old ones or the new ones, see: bcclone edit RECORDING",
)
def edit(settings: EditSettings) -> Result:
    """List the rows of a recording; delete or restore some, or correct its steering; its files are not changed.

    Deleted rows are left out by every command, and every command takes the corrected steering. The edits are in a file
    next to the log, driving_log.edits.json, which is removed when the last one is undone or the last row restored.
    Without an edit, the recording is only listed.
    """
    from bcclone.recording import editing

    with writing(settings.view, PICTURE, force=True, inputs=[settings.recording]):
        result = editing.edit(settings)
        if settings.view:
            from bcclone.pictures.plots.drive_pictures import plot_recording

            plot_recording(result.log, editing.rows_to_show(settings), settings.view)
            result = replace(result, view=settings.view)
    return Result.of(result)
