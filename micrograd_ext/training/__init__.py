"""Training, evaluation and prediction: from arrays to batches, steps and epochs."""
