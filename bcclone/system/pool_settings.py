"""The settings of the workers that share a job: processes of this machine, or a Dask cluster."""

from typing import Annotated

from bcclone.system.settings import Setting, SettingError

Jobs = Annotated[
    int,
    Setting(
        "processes that work in parallel",
        minimum=1,
        maximum=256,
        unit="N",
        zero="one per core",
    ),
]
Scheduler = Annotated[
    str,
    Setting(
        "work on the Dask cluster of this scheduler, such as tcp://HOST:8786, whose workers need "
        "the same files at the same paths; local:N: N processes of this machine",
        unit="ADDRESS",
        shown="none",
    ),
]


def check_one_pool(scheduler: str, jobs: int) -> None:
    """Raise SettingError if both a scheduler and a number of processes are given."""
    if scheduler and jobs:
        raise SettingError(
            "{jobs} are processes of this machine, but {scheduler} is given; leave {jobs} out"
        )
