"""Sessions with a model, each with a memory of its own."""
