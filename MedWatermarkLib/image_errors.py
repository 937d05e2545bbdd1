"""What can be wrong with the files of a scan, in words for the person who chose them."""


class ImageReadError(ValueError):
    """A file or folder does not hold a scan that can be read."""


class ImageWriteError(ValueError):
    """A scan cannot be written as asked; nothing was written."""


class ImageReadWarning(UserWarning):
    """A scan was read, but something of it was left out or assumed."""
