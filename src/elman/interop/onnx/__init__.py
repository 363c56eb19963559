"""ONNX graphs, read without the package `onnx`: the file, the axes of every value, and what its nodes compute."""
