"""Make clips of recorded runs: clip.make_clip(ClipSettings(Path("run1"), overlay=True))."""
