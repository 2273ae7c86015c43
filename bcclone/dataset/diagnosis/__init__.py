"""Find what is wrong with a recording before a network is trained on it: steering, times, cameras and pictures."""
