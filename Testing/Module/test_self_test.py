"""The module's own self-test, which Slicer runs too."""

import os
import sys
import unittest

import pytest


def test_the_self_test_passes_without_slicer(module, quick_identities, slot_errors):
    # As slicer.testing.runUnitTest runs it.
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(
        sys.modules["MedWatermark"].MedWatermarkTest
    )
    assert suite.countTestCases() > 5
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    assert result.wasSuccessful(), [text for _, text in result.errors + result.failures]
    assert slot_errors == []


def test_the_self_test_is_what_slicers_button_runs_and_leaves_the_panel_open(panel, monkeypatch):
    import slicer

    test = sys.modules["MedWatermark"].MedWatermarkTest
    ran = []
    for name in unittest.defaultTestLoader.getTestCaseNames(test):
        monkeypatch.setattr(test, name, lambda self, name=name: ran.append((name, self.panel())))
    slicer.selfTests["MedWatermark"](msec=0)
    assert [name for name, _panel in ran] == unittest.defaultTestLoader.getTestCaseNames(test)
    panel.ui.storeLineEdit.text = "https://files.example/scans"
    assert panel.parameters.store == panel.ui.storeLineEdit.text


def test_a_self_test_that_fails_leaves_slicer_as_it_was(panel, monkeypatch):
    import slicer

    test = sys.modules["MedWatermark"].MedWatermarkTest
    before = dict(os.environ)

    def fail(self):
        self.panel()
        self.scanFromDICOM()
        assert slicer.dicomDatabase._files
        raise AssertionError("as it should")

    monkeypatch.setattr(test, unittest.defaultTestLoader.getTestCaseNames(test)[0], fail)
    with pytest.raises(AssertionError, match="as it should"):
        slicer.selfTests["MedWatermark"](msec=0)
    assert not slicer.dicomDatabase._files
    assert "askPassword" not in vars(panel)
    assert dict(os.environ) == before
