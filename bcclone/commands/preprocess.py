"""Turn recordings of the simulator into one HDF5 store for training.

RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as 'recordings/*/'.
Without it, the command reads driving_log.csv of the current folder, or else the recordings in ./recordings/ or ./data/.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.commands.options import Command, Given, Result, SettingsFile, describe_unchanged, notify, number_of
from bcclone.dataset.preprocess_settings import Conversion
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import argument, setting
from bcclone.system.settings_file import read_settings_file

if TYPE_CHECKING:
    from bcclone.dataset.check import RecordingReport

_ONE_VIEW = "--view draws one recording with images, of 200 rows or more; name one"


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


COMMAND = Command("turn recordings into a store", (Recordings, SettingsFile, ShardingSettings, SampleSettings))


def run(given: Given) -> Result:
    """Convert or check the recordings."""
    chosen = given.make(Recordings)
    if chosen.view and not chosen.check:
        raise UserError("--view draws what --check finds; give both", exit_code=2)
    return _check(given, chosen.recordings or _default_inputs(), chosen.view) if chosen.check else _convert(given)


def interrupted(given: Given) -> str:
    """Describe what is left after Ctrl-C."""
    from bcclone.cluster.sharded_conversion import count_unfinished_shards

    if given.make(Recordings).check:
        return "--check changes nothing"
    output = given.of(ShardingSettings).get("output", ShardingSettings.output)
    if count := count_unfinished_shards(output):
        unfinished = f"{output} holds {number_of(count, 'shard')} that are not part of a complete store yet"
        return f"{unfinished}; continue with the same command and --resume"
    return describe_unchanged(output)


def _default_inputs() -> tuple[str, ...]:
    from bcclone.recording.files import default_inputs

    recordings = default_inputs()
    notify(f"no RECORDING named; taking {', '.join(recordings)}")
    return tuple(recordings)


def _convert(given: Given) -> Result:
    file, inputs = given.make(SettingsFile).settings, given.make(Recordings).recordings
    in_file = read_settings_file(file, ShardingSettings, SampleSettings) if file else {}
    of_samples = {name: in_file.pop(name) for name in SampleSettings.__dataclass_fields__ if name in in_file}
    of_store = in_file | given.of(ShardingSettings)
    if not (inputs or (of_store.get("add") and {"validation_recordings", "test_recordings"} & set(of_store))):
        inputs = _default_inputs()
    samples = of_samples | given.of(SampleSettings)
    result = convert(ShardingSettings(**of_store | {"inputs": inputs, "samples": samples}), notify)
    for notice in result.notices:
        notify(f"note: {notice}")
    for skip in result.skips:
        notify(f"skipped: {skip}")
    return Result(result.as_json(), _summary(result))


def convert(settings: ShardingSettings, notify: Callable[[str], None]) -> Conversion:
    """Convert recordings to a store: one file, or a folder of shards by the cluster."""
    if settings.is_sharded:
        from bcclone.cluster.sharded_conversion import convert as convert_into_shards

        return convert_into_shards(settings, notify)
    from bcclone.dataset.conversion import convert as convert_into_file

    return convert_into_file(settings, notify)


def _summary(result: Conversion) -> str:
    return (
        f"{result.output}: {number_of(result.recordings, 'recording')}, {result.rows} rows in "
        f"{number_of(result.episodes, 'episode')}, "
        f"{result.frames} frames, {result.train} training, {result.validation} validation and {result.test} test "
        "samples, "
        f"{len(result.skips)} skipped, {result.seconds:.1f} s\n"
        f"next: bcclone model {result.output} -o model.h5"
    )


def _check(given: Given, inputs: Sequence[str], view: Path | None) -> Result:
    from bcclone.dataset.check import check
    from bcclone.dataset.diagnosis.advice import advise
    from bcclone.recording.files import find_logs
    from bcclone.system.atomic import check_output

    for kind in (ShardingSettings, SampleSettings):
        given.refuse(kind, "changes nothing in --check, which takes recordings as they are; leave it out")
    if view:
        if len(find_logs(inputs)) != 1:
            raise UserError(_ONE_VIEW, exit_code=2)
        if view.suffix.lower() != ".png":
            raise UserError(f"--view {view}, expected the name of a picture that ends in .png", exit_code=2)
        check_output(view, force=True)
    reports = check(inputs)
    diagnoses = [report.diagnosis for report in reports if report.diagnosis]
    advice = advise([one.coverage for one in diagnoses if one.coverage])
    parts = [report.as_text() for report in reports]
    parts += ["\n  ".join(("what to record next:", *advice))] if advice else []
    as_json = {"recordings": [report.as_json() for report in reports], "record_next": list(advice)}
    if view:
        _draw(reports, view)
    code = 2 if any(report.log is None for report in reports) else int(any(one.findings for one in diagnoses))
    return Result(as_json, "\n\n".join(parts), wrote=[view] if view else [], code=code)


def _draw(reports: Sequence["RecordingReport"], path: Path) -> None:
    from bcclone.pictures.plots.diagnosis_picture import plot_diagnosis

    if len(reports) != 1 or not reports[0].is_diagnosed:
        raise UserError(_ONE_VIEW, exit_code=2)
    plot_diagnosis(reports[0], path)
