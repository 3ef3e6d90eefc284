"""Quantization-aware fine-tuning, in a process of its own: tf_keras and tfmot are imported nowhere else."""
