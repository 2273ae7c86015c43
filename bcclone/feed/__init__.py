"""Store or recording -> batches: an order (which sample is next), a source (where it is), workers (who fetches it).

A strategy combines the three; all of them are opened, counted, iterated and closed alike:

    from bcclone.feed.opening import open_feed
    from bcclone.feed.settings import FeedSettings

    with open_feed(store, FeedSettings("hdf5-shuffle"), DrawSettings(batch_size=32, seed=0)) as feed:
        for number in range(1, epochs + 1):
            with feed.epoch(number) as batches:
                for batch in batches: ...
"""
