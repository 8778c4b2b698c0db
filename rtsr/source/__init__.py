"""Sources of frames, one optional dependency a file."""
