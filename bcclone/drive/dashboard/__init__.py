"""A drive -> the page to watch it on: what is shown and can be set (panel), and its web server (page)."""
