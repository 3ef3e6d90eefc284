"""The devices and processes that a run is shared out to."""
