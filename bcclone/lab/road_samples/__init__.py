"""Render frames along many random roads, and write them with the steering of an expert as a store.

Every frame is seen from another place: the car stands anywhere on its road, off its line and turned at random, and the
steering is the one that brings it back. So a network sees more in a thousand of these frames than in a thousand
consecutive ones of a drive.
"""
