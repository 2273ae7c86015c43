"""Rebuild the network of a Keras model file, of any version, in current layers, without running code in the file.

`stored.read_stored()` reads the file with `hdf5` in a process of its own, which may crash. Then `model.rebuild_model()`
rebuilds the network: `tree` lists the layers, `layers` translates their arguments (`lambda_code` and
`marshal_data` for lambda layers), `channel_order` reorders the kernels, and `weights` assigns the weights.
"""


class UnsupportedModel(ValueError):
    """A stored model that cannot be rebuilt; the text is the reason, on one line, without the path."""
