"""A network as data: its layers, its parameters, the named ones, its text and its file."""
