"""NVIDIA GPUs through TensorRT-RTX and TensorRT; nothing here is imported before it is asked for."""
