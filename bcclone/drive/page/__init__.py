"""The web page of a drive or a play: what it shows (page_state), says (messages) and is served by (pages, app)."""
