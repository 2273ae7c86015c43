"""Convert recordings to a store of either kind: one file, or a folder of shards.

This is bcclone.convert, and the function behind `bcclone preprocess`. It stands in this room, since
a room of the line, such as dataset, knows nothing of a conversion into shards.
"""

from typing import TYPE_CHECKING

from bcclone.cluster.cluster_settings import ShardingSettings, is_sharded
from bcclone.dataset.sample_settings import PreprocessSettings

if TYPE_CHECKING:  # they load pandas and OpenCV
    from bcclone.dataset.conversion import Conversion
    from bcclone.system.progress import Notify


def convert(settings: PreprocessSettings, notify: "Notify" = lambda line: None) -> "Conversion":
    """Convert recordings to a store: a folder of shards if ShardingSettings say so, or one file.

    Raises ForeignLog for a file that is not a driving log, and UserError for all other problems
    that the user can fix.

    notify: called with a line for each log that was read
    """
    if isinstance(settings, ShardingSettings) and is_sharded(settings.output):
        from bcclone.cluster.sharded_conversion import convert as convert_into_shards

        return convert_into_shards(settings, notify)
    from bcclone.dataset.conversion import convert as convert_into_file

    return convert_into_file(settings, notify)
