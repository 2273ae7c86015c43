"""Several simulated cars as one Gymnasium environment: a pool of threads steps and renders.

In: an action for each car, (cars, controls). Out: observations, rewards and ends of episodes, whose
arrays have the cars as their first axis.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from bcclone.research.environment.driving_env import Observation, Simulator
from bcclone.system.numbers import BoolArray, Float32Array, FloatArray

# observations, rewards, terminated, truncated, infos
_Batch = tuple[Observation, FloatArray, BoolArray, BoolArray, dict[str, Any]]


class DrivingVectorEnv(VectorEnv[Observation, Float32Array, npt.NDArray[Any]]):
    """Cars on the same road that do not meet each other; each drives as in Simulator.

    The cars share the scene, so that even many cars take little memory. A car whose episode has
    ended begins another with the next step, with the options of the last reset(). Raises ValueError
    for less than one car, and for a render_mode other than rgb_array.

    threads: how many threads advance and render the cars; 0: one per core
    """

    metadata = Simulator.metadata | {
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": ["rgb_array"],
    }

    def __init__(
        self, num_envs: int = 1, render_mode: str | None = None, threads: int = 0, **values: Any
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}, expected 1 or more")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"render_mode is {render_mode!r}, expected rgb_array: several cars have no window"
            )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._cars = [Simulator(render_mode, **values) for _ in range(num_envs)]
        self.single_observation_space = self._cars[0].observation_space
        self.single_action_space = self._cars[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "car")
        self._ended = np.zeros(num_envs, np.bool_)  # which cars begin an episode with the next step
        self._options: dict[str, Any] | None = None  # of the last reset()

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode of every car.

        seed: the first car's seed (car n gets seed + n, from n = 0), or a list of one seed per car
        options: as in Simulator.reset(), for all cars, and for all episodes up to the next reset()
        """
        seeds: list[int | None]
        if isinstance(seed, list):
            seeds = seed
        elif seed is None:
            seeds = [None] * self.num_envs
        else:
            seeds = [seed + number for number in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds, expected one for each of {self.num_envs} cars")

        def begin(car: Simulator, car_seed: int | None) -> tuple[Observation, dict[str, Any]]:
            return car.reset(seed=car_seed, options=options)

        observations, infos = zip(*self._pool.map(begin, self._cars, seeds), strict=True)
        self._ended[:] = False
        self._options = options
        return self._joined(observations), self._infos(infos)

    def step(self, actions: Float32Array) -> _Batch:
        """Advance every car by 0.04 s.

        A car whose episode has ended begins another, and its action is not used. Raises ValueError,
        before any car moves, for actions that are not finite numbers of the shape (cars, controls).
        """
        if np.shape(actions) != self.action_space.shape:
            raise ValueError(
                f"actions have the shape {np.shape(actions)}, expected {self.action_space.shape}"
            )
        for car, action, ended in zip(self._cars, actions, self._ended, strict=True):
            if not ended:
                car.checked(action)

        def advance(number: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
            car = self._cars[number]
            if not self._ended[number]:
                return car.step(actions[number])
            observation, info = car.reset(options=self._options)
            return observation, 0.0, False, False, info

        observations, rewards, terminated, truncated, infos = zip(
            *self._pool.map(advance, range(self.num_envs)), strict=True
        )
        self._ended = np.array(terminated) | np.array(truncated)
        return (
            self._joined(observations),
            np.array(rewards, np.float64),
            np.array(terminated),
            np.array(truncated),
            self._infos(infos),
        )

    def render(self) -> tuple[Any, ...] | None:
        """Return the pictures of the centre cameras in the mode rgb_array."""
        if not self.render_mode:
            return None
        return tuple(self._pool.map(Simulator.render, self._cars))

    def close_extras(self, **_: Any) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _joined(self, observations: Sequence[Observation]) -> Observation:
        """Return the cars' observations as one, with the cars as the first axis of its arrays."""
        empty: Any = create_empty_array(self.single_observation_space, self.num_envs)
        return concatenate(self.single_observation_space, observations, empty)

    def _infos(self, infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the cars' infos as one: each name has an array over the cars."""
        joined: dict[str, Any] = {}
        for number, info in enumerate(infos):
            joined = self._add_info(joined, info, number)
        return joined
