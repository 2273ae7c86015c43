"""Make clips: the folder of a recorded run -> an MP4 or a GIF."""
