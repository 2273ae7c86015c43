"""Every message that a user can meet, each provoked for real; sites.py finds them in the code."""
