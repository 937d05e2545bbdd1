# ruff: noqa: PT009, PT027 (Slicer's self-tests use unittest: pytest is not among its packages)
"""The module on a Slicer as it is: with the packages of the library, or with none of them."""

import unittest

import slicer
from MedWatermarkModule import dependencies


class MedWatermarkPackagesTest(unittest.TestCase):
    def test_panel_opens_with_or_without_the_packages(self):
        self.assertIsNotNone(slicer.modules.medwatermark.widgetRepresentation().self().logic)

    def test_missing_packages_are_named_and_not_installed_by_a_test(self):
        missing = dependencies.missingPackages()
        print("Missing:", ", ".join(missing) or "none")
        if not missing:
            dependencies.ensure()
            import MedWatermarkLib.scan  # noqa: F401

            return
        with self.assertRaises(dependencies.MissingPackagesError) as refusal:
            dependencies.ensure()
        for package in missing:
            self.assertIn(package, str(refusal.exception))
        self.assertEqual(dependencies.missingPackages(), missing)
