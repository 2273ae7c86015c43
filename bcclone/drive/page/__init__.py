"""The web page of a drive or a play.

page_state says what it shows; routes serves its addresses and open websockets.
"""
