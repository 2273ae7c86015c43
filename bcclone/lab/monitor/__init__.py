"""Judge, frame by frame, whether a model sees something unlike its training frames."""
