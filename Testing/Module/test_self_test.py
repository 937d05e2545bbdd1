"""The module's own self-test, which Slicer runs too."""


def test_the_self_test_passes_without_slicer(module):
    import slicer

    slicer.selfTests["MedWatermark"](msec=0)
