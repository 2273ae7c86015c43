"""Real cars: their cameras, films without steering, and models for their computers."""
