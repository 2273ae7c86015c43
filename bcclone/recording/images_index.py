"""Where the images of a log lie today: recordings get moved, and the paths in the log do not move with them."""

import os
from collections.abc import Iterable
from pathlib import Path


class ImageIndex:
    """The JPEG files in the places where a log's images can be, by base name; each folder is listed once."""

    def __init__(self, log_path: Path) -> None:
        home = log_path.parent
        self.folders = [home / "IMG", home, home / "IMG" / "IMG"]
        if home.name == "IMG":
            self.folders.append(home.parent)
        self._folder_of: dict[str, int] = {}
        for number, folder in reversed(list(enumerate(self.folders))):
            if folder.is_dir():
                self._folder_of.update((name, number) for name in _jpeg_names(folder))

    def find(self, name: str) -> str | None:
        """Return the path of the image with this base name, or None."""
        folder = self.folder_of(name)
        return None if folder is None else str(self.folders[folder] / name)

    def folder_of(self, name: str) -> int | None:
        """Return which of the folders holds the image with this base name, or None."""
        return self._folder_of.get(name)

    def orphans(self, named: Iterable[str]) -> list[str]:
        """Return the base names of images that no row names."""
        return sorted(self._folder_of.keys() - set(named))


def _jpeg_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.name.lower().endswith((".jpg", ".jpeg"))]
