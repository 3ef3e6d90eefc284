"""`python -m ofar_tf` lists the commands."""

from ofar_tf.console import main

main()
