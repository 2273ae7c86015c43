"""Pictures of models, samples and drives (plots), reports, and clips of recorded runs."""
