"""The results as a page with tables and pictures."""
