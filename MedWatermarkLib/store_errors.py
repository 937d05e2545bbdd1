"""What can go wrong with a place where sealed packages lie; URLs are told without secrets."""

from __future__ import annotations

import re


class StoreError(Exception):
    """A store that does not do what was asked of it."""


class StoreURLError(StoreError):
    """A URL that no store can have, or whose software is not installed."""


class NotInStoreError(StoreError):
    """A file that is not in the store."""


class StoreAccessError(StoreError):
    """A store that does not let one read or write."""


class StoreUnreachableError(StoreError):
    """A store that cannot be reached, or breaks off time and again."""


class DamagedDownloadError(StoreError):
    """A file in a store that is not what its name says."""


class OversizeError(StoreError):
    """A file in a store that is larger than it can be."""


def without_secrets(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query and fragment.

    Parameters
    ----------
    url : str
        Also one of fsspec's chains of URLs.
    """
    return "::".join(
        re.sub(r"(?<=://).*@", "", re.split(r"[?#]", link, maxsplit=1)[0])
        for link in url.split("::")
    )
