"""What can be wrong with a package, a sealed package or what comes with them."""

from __future__ import annotations


class PackageError(ValueError):
    """A package that cannot be made, or not be read; nothing of it was written."""


class ForeignPackageError(PackageError):
    """A file that is no package of MedWatermark."""


class FuturePackageError(PackageError):
    """A package of a later version than this software knows.

    Attributes
    ----------
    version : int
        The version that it names.
    """

    def __init__(self, version: int) -> None:
        super().__init__(
            f"The package is of version {version}, which this MedWatermark does not know: update "
            "it."
        )
        self.version = version


class TruncatedPackageError(PackageError):
    """A package that breaks off."""


class DamagedPackageError(PackageError):
    """A package in which bytes were changed, added, moved or lost."""


class ManifestError(PackageError):
    """A manifest that says what no package can be, or more than is allowed."""


class PackageContentError(PackageError):
    """A part of a package, undamaged, that is not what it must be."""


class IdentifiedImageError(PackageError):
    """A scan that still says whose it is, and so must not leave the house."""
