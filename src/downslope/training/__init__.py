"""Training, exact by construction: data, models, the loop, checkpoints, the log, and what is drawn from them."""
