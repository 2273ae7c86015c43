"""Feed batches of samples to a network, from a store or from the images of a recording.

A feed combines an order (which sample comes next) with a source (where its images are), and loads
batches in threads or processes. All feeds have the same interface:

    sampling = SamplingSettings(batch_size=32, seed=0)
    with open_feed(select(store), FeedSettings("hdf5-shuffle"), sampling) as feed:
        for number in range(1, epochs + 1):
            with feed.epoch(number) as batches:
                for batch in batches: ...

`SampleDataset` is a Keras dataset for model.fit.
"""
