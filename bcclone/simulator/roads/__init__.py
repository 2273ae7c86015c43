"""Roads other than the two tracks: control points in a file, or a seed -> a plan and its centre line."""
