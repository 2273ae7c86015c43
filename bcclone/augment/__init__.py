"""Augment training samples: move the camera, with the steering that brings the car back, and change the light.

`draws` makes random numbers; `viewpoint` and `appearance` compute parameters from them (where the camera is, light,
shadows, blur, patches, noise); `on_cpu` (compiled, image by image) and `on_device` (tensor operations in the training
step) apply them, with the same result up to rounding.
"""
