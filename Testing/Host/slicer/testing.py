"""Runs a unit test by its name; mirrors Slicer's ``Base/Python/slicer/testing.py``."""

import sys
import unittest


def runUnitTest(path, testname):
    sys.path.extend([path] if isinstance(path, str) else path)
    suite = unittest.TestLoader().loadTestsFromName(testname)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if not result.wasSuccessful():
        raise Exception(f"{testname} failed")
