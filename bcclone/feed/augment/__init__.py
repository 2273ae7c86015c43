"""Augment training samples: random viewpoints, with the steering that returns the car to its line, and random light.

`parameters` draws random numbers and computes the parameters from them (camera position, light, shadows, blur, patches,
noise); `on_cpu` (compiled, image by image) and `on_device` (tensor operations in the training step) apply them, with
the same result up to rounding.
"""
