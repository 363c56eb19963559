"""From files to tokens: sources, tokenizers, token files and lanes. Knows no model."""
