"""Quantization-aware training, on a twin network in tf_keras and in a process of its own."""
