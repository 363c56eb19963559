"""Fair comparisons: models trained on the same data with the same budget, and what the numbers allow one to say."""
