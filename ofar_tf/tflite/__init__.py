"""TFLite files as bytes and as LiteRT runs them; knows nothing of the rest of the project."""
