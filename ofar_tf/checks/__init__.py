"""Whether a TFLite file is what its Keras parent promises, and where rounding hurts."""
