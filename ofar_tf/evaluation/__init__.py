"""Networks calibrated, measured and compared."""
