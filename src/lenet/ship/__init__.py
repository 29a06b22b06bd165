"""A trained network put to use: loaded, asked, and made into files that other programs take."""
