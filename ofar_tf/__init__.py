"""Train a ConvNet once, get a family of small TFLite models."""
