"""TFLite metadata: what a file says about itself, and the labels inside it."""
