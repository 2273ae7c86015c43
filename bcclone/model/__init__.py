"""Networks: build one, save and load it, and steer with it, frame by frame.

`model_file` saves and loads models; `foreign` rebuilds their networks, also those of other
programs; `policy` steers.
"""
