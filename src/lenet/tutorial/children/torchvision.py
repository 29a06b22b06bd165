import lenet_stand_ins  # type: ignore[import-not-found]  # its folder is on sys.path

lenet_stand_ins.answer(__name__)
