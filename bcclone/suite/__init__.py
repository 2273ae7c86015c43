"""Models -> the same drives for each, side by side: speeds, latencies, looks of the world, bad starts, both tracks.

`rows` says what is driven; `run` drives it, on all cores: `crew` <- `child`; `result` holds what came of it, and
`table` and `pictures` show it.
"""

from bcclone.suite.result import SuiteResult
from bcclone.suite.rows import ROWS, Row, chosen_rows
from bcclone.suite.run import SuiteSettings, run_suite

__all__ = ["ROWS", "Row", "SuiteResult", "SuiteSettings", "chosen_rows", "run_suite"]
