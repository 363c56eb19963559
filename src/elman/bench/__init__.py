"""Elman's recurrent layers measured beside those of torch.nn and onnxruntime, in one process."""
