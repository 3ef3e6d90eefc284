"""Many runs, one after another, and one table of their means: what `ofar_tf.run_matrix` is made of."""
