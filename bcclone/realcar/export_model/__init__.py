"""Export a model with the preparation of its frames: ONNX, LiteRT, or a donkeycar's LiteRT file."""
