"""What a drive is told; no TensorFlow and no sockets in here, so that --help answers at once."""

import ipaddress
from dataclasses import dataclass

ASYNC_MODES = ("threading", "eventlet")
HIGHEST_SPEED_MPH = 60.0


@dataclass(frozen=True)
class DriveSettings:
    """Where to listen, who may connect, and how fast to drive.

    min_speed_mph: slow_in_corners goes down to this; max_latency_ms: slower answers are counted, 0: none is;
    token: what other machines must know, "" for none; allow_from: other machines whose simulator may drive without.
    """

    host: str = "127.0.0.1"
    port: int = 4567
    speed_mph: float = 25.0
    min_speed_mph: float = 10.0
    slow_in_corners: bool = False
    max_latency_ms: float = 0.0
    token: str = ""
    allow_from: tuple[str, ...] = ()
    async_mode: str = ASYNC_MODES[0]

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port}, expected 0 to 65535")
        for name in ("speed_mph", "min_speed_mph"):
            if not 0 <= getattr(self, name) <= HIGHEST_SPEED_MPH:
                called = name.removesuffix("_mph").replace("_", " ")
                raise ValueError(f"{called} {getattr(self, name):g} mph, expected 0 to {HIGHEST_SPEED_MPH:g}")
        if not 0 <= self.max_latency_ms < float("inf"):
            raise ValueError(f"max latency {self.max_latency_ms:g} ms, expected 0 or more")
        for address in self.allow_from:
            _check_address(address)
        if not (self.token or is_this_machine(self.host)):
            raise ValueError(
                f"--host {self.host} lets other machines in; give them something to know by --token TEXT, or listen on "
                "127.0.0.1"
            )


def is_this_machine(host: str) -> bool:
    """Return whether an address can be reached, or was taken, by this machine alone."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(f"address {address!r}, expected one such as 172.17.0.1") from None
