"""The simulator as a Gymnasium environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from bcclone.dataset.images import Image
from bcclone.lab.environment import CONDITIONS, EnvironmentSettings, changed_conditions, values_by_name
from bcclone.lab.environment.episode import FARTHEST_M, Episode, Observation
from bcclone.simulator.render import LABELS
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import require_package

_LEAST_WIDTH_PX = 640  # smaller pictures are enlarged
_UNSEEN = ("dummy", "offscreen")  # drivers that SDL falls back to where there is no display


class Window:
    """A window for pictures of one size; without a display, a note, and nothing is shown.

    Raises UserError where there is no pygame.
    """

    def __init__(self, height: int, width: int) -> None:
        require_package("pygame", "render_mode human", "bcclone[gym]")
        import pygame

        self._pygame: Any = pygame
        self._surface: Any = None
        scale = max(_LEAST_WIDTH_PX // width, 1)
        pygame.display.init()
        if pygame.display.get_driver() in _UNSEEN and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()
            print("note: there is no display, so render_mode human shows nothing", file=sys.stderr)
            return
        pygame.display.set_caption("bcclone")
        self._surface = pygame.display.set_mode((width * scale, height * scale))
        self._clock = pygame.time.Clock()

    def show(self, picture: Image) -> None:
        """Show a picture, and wait until the next one is due."""
        if self._surface is None:
            return
        pygame = self._pygame
        pygame.event.pump()
        image = pygame.surfarray.make_surface(np.swapaxes(picture, 0, 1))
        self._surface.blit(pygame.transform.scale(image, self._surface.get_size()), (0, 0))
        pygame.display.flip()
        self._clock.tick(round(1 / FRAME_SECONDS))

    def close(self) -> None:
        """Close the window; it may be closed twice."""
        self._pygame.display.quit()


def settings_from(values: Mapping[str, Any]) -> EnvironmentSettings:
    """Return settings from the arguments of gymnasium.make(): fields of EnvironmentSettings and of Conditions.

    Raises ValueError for a value out of range, and for an unknown name.
    """
    names = [each.name for each in fields(EnvironmentSettings)]
    given = dict(values_by_name("argument", values, (*names, *CONDITIONS)))
    conditions = changed_conditions(Conditions(), given.pop("conditions", {}))
    conditions = replace(conditions, **{name: given.pop(name) for name in CONDITIONS if name in given})
    if isinstance(given.get("observations"), list):
        given["observations"] = tuple(given["observations"])
    return EnvironmentSettings(**given, conditions=conditions)


def observation_space(settings: EnvironmentSettings) -> spaces.Space[Any]:
    """Return the space of the observations: a Box, or a Dict of them."""
    shape = settings.height, settings.width
    every: dict[str, spaces.Space[Any]] = {
        **{camera: spaces.Box(0, 255, (*shape, 3), np.uint8) for camera in ("center", "left", "right")},
        "segmentation": spaces.Box(0, max(LABELS.values()), shape, np.uint8),
        "depth": spaces.Box(0.0, float(FARTHEST_M), shape, np.float32),
    }
    names = settings.observations
    return every[names[0]] if len(names) == 1 else spaces.Dict({name: every[name] for name in names})


def action_space(settings: EnvironmentSettings) -> spaces.Box:
    """Return the space of the actions: steering, and throttle if it is controlled, -1 to 1."""
    return spaces.Box(-1.0, 1.0, (2 if settings.action == "steering-throttle" else 1,), np.float32)


class DrivingEnv(gymnasium.Env[Observation, npt.NDArray[np.float32]]):
    """A car on a road. The arguments are the fields of EnvironmentSettings and of the simulator's Conditions.

    A step lasts 0.04 s of simulated time; nothing runs between two steps. The reward of a step is the distance driven
    along the road in metres, times 1 - |cte| / limit; the step that ends an episode off the road or in a crash loses
    10. An episode terminates there and when its laps are driven, and is truncated at the time limit. reset() takes the
    options of Episode.reset(); info is described at Episode.info().

    episode: the drive itself, for experts and tests that need more than the observations.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": round(1 / FRAME_SECONDS)}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, **values: Any) -> None:
        self.settings, self.render_mode = settings_from(values), render_mode
        self.observation_space: spaces.Space[Any] = observation_space(self.settings)
        self.action_space: spaces.Space[Any] = action_space(self.settings)
        self._window = Window(self.settings.height, self.settings.width) if render_mode == "human" else None
        self.episode = Episode(self.settings)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        started = self.episode.reset(self.np_random, options)
        self._show()
        return started

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance by 0.04 s. Raises gymnasium.error.ResetNeeded after the end of an episode."""
        if self.episode.ended:
            raise gymnasium.error.ResetNeeded("the episode has ended; begin another with reset()")
        step = self.episode.step(action)
        self._show()
        return step.observation, step.reward, step.terminated, step.truncated, step.info

    def render(self) -> Image | None:
        """Return the picture of the centre camera in the mode rgb_array."""
        return self.episode.frame() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window."""
        if self._window is not None:
            self._window.close()

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(self.episode.frame())
