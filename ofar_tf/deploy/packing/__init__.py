"""The resolutions of one structure in one file that shares its weights."""
