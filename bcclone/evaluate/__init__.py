"""Model files -> scores: by drives around simulated tracks (evaluation, suite), and by recordings (replay)."""
