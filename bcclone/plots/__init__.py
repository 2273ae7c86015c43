"""History, model, samples, driven line -> pictures, one file each; matplotlib loads only here.

`whole` draws all that a trained model and its samples give; the others can be called one by one.
"""

from bcclone.plots.drives import DriveScore, plot_appearances, plot_drive, plot_drives, plot_scores, plot_views

__all__ = ["DriveScore", "plot_drive", "plot_drives", "plot_appearances", "plot_scores", "plot_views"]
