"""The page of `bcclone edit`: it plays a recording, lists its faults and edits it."""
