"""The sandwich step, its schedules, and what a run keeps on disk while it trains."""
