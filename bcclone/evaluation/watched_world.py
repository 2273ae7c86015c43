"""A simulated world -> the same world, which shows each frame to a watcher once it is answered."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.unity_client import CarState
from bcclone.simulator.world import SimulatedWorld


@dataclass(frozen=True)
class DrivenFrame:
    """A frame of a drive, and the answer to it."""

    jpeg: bytes
    point: TracePoint  # where the car was
    speed_mph: float
    steering: float  # that was answered, -1 (left) to 1 (right)
    latency_ms: float  # from the frame to its answer


Watch = Callable[[DrivenFrame], object]


class WatchedWorld:
    """A world that a model drives in, and that shows what it sees.

    world: the car and its surroundings
    watch: called with each frame, in order of time, as soon as it is answered
    latencies_ms: returns the milliseconds of each answer so far; when steer() is called with an
        answer, that of this answer is the last
    """

    def __init__(
        self, world: SimulatedWorld, watch: Watch, latencies_ms: Callable[[], Sequence[float]]
    ) -> None:
        self._world = world
        self._watch = watch
        self._latencies_ms = latencies_ms
        # frames without an answer, oldest first: where each was taken, and what the car said
        self._asked: deque[tuple[TracePoint, CarState]] = deque()
        self._answered = 0  # number of frames that are answered

    def observe(self) -> CarState | None:
        """Advance to the next frame and return the car's state; None after the drive's end."""
        state = self._world.observe()
        if state is not None:
            self._asked.append((self._world.shown[-1].point, state))
        return state

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1; as an answer, they answer the oldest frame without one."""
        self._world.steer(steering, throttle)
        latencies_ms = self._latencies_ms()
        if len(latencies_ms) == self._answered:  # a server sends controls before it has a frame
            return
        self._answered += 1
        point, state = self._asked.popleft()
        self._watch(DrivenFrame(state.jpeg, point, state.speed_mph, steering, latencies_ms[-1]))
