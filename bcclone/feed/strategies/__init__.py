"""One strategy a file: an order, a source and workers put together. Which there are: bcclone.feed.settings."""
