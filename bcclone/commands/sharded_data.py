"""The command preprocess with the wing `cluster`: its output may also be a folder of shards."""

from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING

from bcclone.cluster.cluster_settings import ShardingSettings, is_sharded
from bcclone.commands.data import Recordings, preprocess_with
from bcclone.commands.options import Command, Given, Result, SettingsFile
from bcclone.dataset.sample_settings import PreprocessSettings

if TYPE_CHECKING:  # they load pandas, OpenCV and tqdm
    from bcclone.dataset.conversion import Conversion
    from bcclone.system.process import Notify


def extended(preprocess: Command) -> Command:
    """Return the command with the options of shards."""

    @wraps(preprocess.function)
    def preprocess_shards(given: Given, chosen: Recordings, file: SettingsFile) -> Result:
        return preprocess_with(ShardingSettings, _convert, given, chosen, file)

    # ShardingSettings have the settings of one file, too
    replaced: dict[type, type] = {PreprocessSettings: ShardingSettings}
    return replace(
        preprocess,
        function=preprocess_shards,
        settings=[replaced.get(kind, kind) for kind in preprocess.settings],
        after_interrupt="an existing store is unchanged; a folder keeps its finished shards, which "
        "the same command and --resume complete",
    )


def _convert(settings: ShardingSettings, notify: "Notify") -> "Conversion":
    """Convert recordings to a folder of shards or to one file, as the output is named."""
    if is_sharded(settings.output):
        from bcclone.cluster.sharded_conversion import convert_to_shards

        return convert_to_shards(settings, notify)
    from bcclone.dataset.conversion import convert

    return convert(settings, notify)
