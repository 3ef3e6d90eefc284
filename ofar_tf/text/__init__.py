"""Numbers as engineers write them, and tables as terminals show them."""
