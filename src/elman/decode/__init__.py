"""Decoding: from a model's distributions to text, over one step of the state contract."""
