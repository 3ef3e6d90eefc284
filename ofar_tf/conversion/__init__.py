"""From a structure to files: stock Keras networks, and TFLite files in every precision."""
