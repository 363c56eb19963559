"""Metrics: how far what a model says is from what it should say. They know text and tokens, and no model."""
