"""Many runs and one table: what `run_matrix` is made of."""
