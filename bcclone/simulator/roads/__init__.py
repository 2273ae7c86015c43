"""Roads other than the two tracks, from control points in a file or from a seed."""
