"""The folder of an exported family and its documents."""
