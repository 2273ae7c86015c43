"""The web page of a drive or a play: what it shows (page_state), its addresses and open websockets
(app).
"""
