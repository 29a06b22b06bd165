"""Curves, maps and sheets of pictures, in files and in a terminal; widths of text."""
