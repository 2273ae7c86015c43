"""The settings of a drive, made from the command line's options, and the result of a drive.

Loads nothing large, for --help.
"""

import ipaddress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.drive.controller import SpeedSettings
from bcclone.system.codec import MODEL_ENDINGS
from bcclone.system.errors import shown_command
from bcclone.system.settings import SIMULATOR_PORT, Port, SettingError, argument, setting
from bcclone.web.access import AllowedNames, check_access

ASYNC_MODES = ("threading", "eventlet")
_server = partial(setting, group="server")


@dataclass(frozen=True)
class DriveSettings(SpeedSettings):
    """Which model drives, how fast, where the server listens and who may connect.

    Without a run folder nothing is recorded until the page asks for it.
    """

    model: Path = argument(
        "model file of model.py, or a .h5 or .keras file of Keras", Path("model.h5")
    )
    run_folder: Path | None = argument(
        "folder to record the drive into; must be new or empty",
        None,
        unit="RUN",
        shown="none",
        writes=True,
    )
    host: str = _server(
        "127.0.0.1", "address to listen on; the default is reachable from this machine only"
    )
    port: Port = _server(
        SIMULATOR_PORT, f"port to listen on; the simulator always connects to {SIMULATOR_PORT}"
    )
    token: str = _server(
        "",
        "secret that other machines must send; required when --host is reachable from them, and "
        "with --allow-host",
    )
    allow_host: AllowedNames = _server(())
    allow_from: tuple[str, ...] = _server(
        (),
        "address of a machine whose simulator may drive without the token, "
        "which it cannot send; repeatable",
        unit="ADDRESS",
    )
    async_mode: str = _server(
        ASYNC_MODES[0],
        "serve each connection in a thread of its own (threading), "
        "or all in one thread (eventlet, until April 2027)",
        choices=ASYNC_MODES,
    )
    preprocess: PreprocessingText | None = setting(None)  # its help comes with its type

    def validate(self) -> None:
        super().validate()
        are_swapped = (
            self.run_folder
            and self.run_folder.suffix.lower() in (".h5", *MODEL_ENDINGS)
            and not self.model.exists()
        )
        if are_swapped:
            raise SettingError(
                "{run_folder} {path} is called like a model, and the model comes first: {command}",
                path=self.run_folder,
                command=shown_command("drive", self.run_folder, self.model),
            )
        for address in self.allow_from:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise SettingError(
                    "{allow_from} {address}, expected one such as 172.17.0.1", address=address
                ) from None
        check_access(self.host, self.token, self.allow_host)


@dataclass(frozen=True)
class DriveResult:
    """The result of a drive."""

    answered: int  # frames that the model answered
    faults: int  # frames and messages that could not be used
    folder: Path | None  # the run folder, None when nothing was recorded
    recorded: int  # number of the frames that were written
    dropped: int  # number of the frames that could not be written
    failure: str  # why the recording ended early, or ""
