"""Using a trained run: evaluating it, predicting with it."""
