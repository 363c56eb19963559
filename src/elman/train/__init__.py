"""Training: the loop, truncated backpropagation through time, clipping, schedules, checkpoints."""
