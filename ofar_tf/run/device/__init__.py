"""How long networks take on a device: random structures are timed, and a predictor is fitted to the times."""
