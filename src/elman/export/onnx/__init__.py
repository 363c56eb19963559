"""Models as ONNX graphs, in the operators and forms that every runtime computes alike."""
