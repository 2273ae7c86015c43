"""A page on which a recording plays, is judged and is cut."""
