"""Models -> the same drives for each, side by side: speeds, latencies, looks of the world, bad starts, both tracks.

`rows` says what is driven; `run` drives it, on all cores: `crew` <- `child`; `result` holds what came of it, and
`table` and `pictures` show it.
"""

from bcclone.suite.run import SuiteSettings, run_suite
from bcclone.suite.scenarios import ROWS, Row, SuiteResult, chosen_rows

__all__ = ["ROWS", "Row", "SuiteResult", "SuiteSettings", "chosen_rows", "run_suite"]
