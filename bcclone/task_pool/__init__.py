"""Run a function over many tasks side by side: on the cores of this machine, or on the workers of a Dask cluster.

open_pool() yields a TaskPool, whose run() takes a function and its tasks, and yields the results as they complete. The
results do not depend on where the tasks run.
"""

from bcclone.task_pool.pool import TaskPool, open_pool
from bcclone.task_pool.task import WorkerFault, report_progress

__all__ = ["TaskPool", "WorkerFault", "open_pool", "report_progress"]
