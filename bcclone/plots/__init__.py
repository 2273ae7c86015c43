"""History, model, samples, driven line -> pictures, one file each; matplotlib loads only here.

`whole` draws all that a trained model and its samples give; the others can be called one by one.
"""

from bcclone.plots.compared import Scored, plot_looks, plot_scores
from bcclone.plots.driven import plot_drive, plot_drives, plot_views

__all__ = ["Scored", "plot_drive", "plot_drives", "plot_looks", "plot_scores", "plot_views"]
