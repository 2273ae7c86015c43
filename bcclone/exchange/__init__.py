"""Write recordings in the formats of other programs, and read them back: export() and import_recording().

One module for each format: csv_table, tub (donkeycar), lerobot, minari, robomimic. docs/how-to/exchange.md says what
each of them keeps.
"""

from typing import TYPE_CHECKING

from bcclone.exchange.settings import EXPORT_FORMATS, IMPORT_FORMATS, ExportSettings, ImportSettings
from bcclone.lazy import lazy_attributes

if TYPE_CHECKING:
    from bcclone.exchange.exporting import ExportResult, export
    from bcclone.exchange.importing import ImportResult, import_recording

__all__ = [
    "EXPORT_FORMATS",
    "IMPORT_FORMATS",
    "ExportResult",
    "ExportSettings",
    "ImportResult",
    "ImportSettings",
    "export",
    "import_recording",
]

__getattr__ = lazy_attributes(
    __name__,
    dict.fromkeys(("ExportResult", "export"), "exporting")
    | dict.fromkeys(("ImportResult", "import_recording"), "importing"),
)
