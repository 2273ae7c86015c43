"""Measure whether monitors announce that a model will leave the road."""
