"""Tasks: what joins data, a model, a loss and a metric into something that can be trained."""
