"""A trained network as a file that others use."""
