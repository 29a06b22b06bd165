"""Imported by multiprocessing's fork server, so that its children find the stand-ins."""

from lenet.tutorial.stand_ins import install_quietly

install_quietly()
