"""Store + network -> model file: the run folder, checkpoints, the loop, and how a run is taken up again."""
