"""Measure what several workers gain and cost on this machine: writing shards, opening them, feeding and training."""
