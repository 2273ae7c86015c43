"""Recordings of driving: logs of any dialect -> checked rows with their images, and their edits."""
