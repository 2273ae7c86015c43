"""Show an environment's pictures in a window."""

import os
import sys
from typing import Any, Self

import numpy as np

from bcclone.camera.images import Image
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.system.errors import require_package

_LEAST_WIDTH_PX = 640  # smaller pictures are enlarged
# SDL's video drivers that show nothing; it falls back to them where there is no display
_INVISIBLE_VIDEO_DRIVERS = ("dummy", "offscreen")


class Window:
    """A window for pictures of one size, a context manager.

    Without a display it prints a note, and shows nothing.

    Raises UserError where there is no pygame.
    """

    def __init__(self, height: int, width: int) -> None:
        require_package("pygame", "render_mode human", "bcclone[gym]")
        import pygame

        self._pygame: Any = pygame
        self._surface: Any = None  # None where nothing is shown
        scale = max(_LEAST_WIDTH_PX // width, 1)
        pygame.display.init()
        is_invisible = pygame.display.get_driver() in _INVISIBLE_VIDEO_DRIVERS
        # no note if the user chose an invisible driver
        if is_invisible and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()
            print("note: there is no display, so render_mode human shows nothing", file=sys.stderr)
            return
        pygame.display.set_caption("bcclone")
        self._surface = pygame.display.set_mode((width * scale, height * scale))
        self._clock = pygame.time.Clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

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
