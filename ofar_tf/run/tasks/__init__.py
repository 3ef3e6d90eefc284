"""What a run of each task is made of."""
