"""Where rounding hurts: the error of each layer of a quantized file."""
