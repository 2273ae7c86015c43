"""Mistakes that a user can make, each provoked for real."""
