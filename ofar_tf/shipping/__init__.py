"""Which file goes where: the choice of one, and files laid out for device targeting."""
