"""The web page of a drive: its state and controls (state), and the addresses that serve it (app)."""
