"""Show pictures in a window at 25 a second; needs pygame."""

import os
import sys
from typing import Any

import numpy as np

from bcclone.dataset.images import Image
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.system.errors import UserError

_LEAST_WIDTH_PX = 640  # smaller pictures are enlarged
_UNSEEN = ("dummy", "offscreen")  # drivers that SDL falls back to where there is no display


class Window:
    """A window for pictures of one size; without a display, a note, and nothing is shown.

    Raises UserError where there is no pygame.
    """

    def __init__(self, height: int, width: int) -> None:
        try:
            import pygame
        except ImportError as error:
            raise UserError(
                f"render_mode human needs pygame ({error}); install it with: pip install 'bcclone[gym]'"
            ) from None
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
