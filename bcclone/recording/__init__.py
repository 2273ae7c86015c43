"""Recordings of driving: logs of any dialect -> checked rows with their images; edits and checks of a recording."""
