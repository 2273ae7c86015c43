"""Model files -> scores: by simulated drives (evaluation, suite), recordings (replay) and labels
(predictions).
"""
