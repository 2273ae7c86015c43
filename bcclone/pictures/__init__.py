"""Pictures of models, samples and drives (plots), and clips of recorded runs (video)."""
