"""Store or recording -> batches: an order (which sample is next), a source (where it is), workers (who fetches it).

A strategy combines the three; all of them are opened, counted, iterated and closed alike:

    from bcclone.feed.open import open_feed
    from bcclone.feed.settings import FeedSettings

    with open_feed(store, FeedSettings("hdf5-shuffle"), DrawSettings(batch_size=32, seed=0)) as feed:
        for number in range(1, epochs + 1):
            with feed.epoch(number) as batches:
                for batch in batches: ...

`SampleDataset` is what Keras's own model.fit takes; asking for it loads Keras:

    from bcclone.feed import SampleDataset

    with SampleDataset.from_store("data.h5", batch_size=32, workers=2) as samples:
        model.fit(samples, epochs=5)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bcclone.feed.keras_sequence import SampleDataset

__all__ = ["SampleDataset"]


def __getattr__(name: str) -> Any:
    """Load Keras with SampleDataset, and not before; raises AttributeError for any other name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bcclone.feed.keras_sequence import SampleDataset

    return SampleDataset
