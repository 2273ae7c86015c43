"""What a drive is told; no TensorFlow and no sockets in here, so that --help answers at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DriveSettings:
    """Where to listen and how fast to drive."""

    host: str = "127.0.0.1"
    port: int = 4567
    speed_mph: float = 25.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port}, expected 0 to 65535")
        if not 0 <= self.speed_mph <= 60:
            raise ValueError(f"speed {self.speed_mph:g} mph, expected 0 to 60")
