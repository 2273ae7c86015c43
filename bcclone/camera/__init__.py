"""Pictures, the camera that takes them and the car that carries it."""
