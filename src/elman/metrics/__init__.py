"""Metrics of a model's predictions. They know text and tokens, and no model."""
