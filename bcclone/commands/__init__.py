"""What a command line says -> settings, one call, and what is printed of the result."""
