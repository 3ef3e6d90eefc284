"""A run: its settings, its directory, its data and models, its training, and its way back from disk."""
