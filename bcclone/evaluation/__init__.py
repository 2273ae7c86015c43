"""Score model files: by simulated drives (`evaluate`, `suite`), or along a recording (`replay`).

`predict` writes the steering of a model for each frame of a folder or of a recording.
"""
