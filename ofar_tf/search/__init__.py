"""The structure search: mask similarity over epochs and the pruned network pool."""
