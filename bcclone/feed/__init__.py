"""Give a network its batches, in an order that seed and epoch decide."""
