"""Which file goes where: the choice of one, what it says of photographs, files laid out for device targeting."""
