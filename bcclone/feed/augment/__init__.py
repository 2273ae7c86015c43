"""Change images and steering at random, alike on the CPU and on a GPU."""
