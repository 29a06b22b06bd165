"""A trained network as one C header: planned, quantized, written, compiled to be checked."""
