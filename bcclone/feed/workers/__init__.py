"""Who fetches what an order asks for: a thread, or processes, so that the next batches are ready in time."""
