"""The laboratory: the classical claims about sequence models, each run, drawn and judged by a stated criterion."""
