"""Object detection as a task."""
