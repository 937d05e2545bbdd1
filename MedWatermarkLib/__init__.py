"""MedWatermark: a medical scan that carries its signed diagnosis in its own voxels.

One noun, one file; each file imports only what the design puts to its left:
``volume``, ``imageio``, ``claim``, ``qr``, ``dct``, ``channel_code``, ``watermark``,
``quality``, ``scan``, ``cli``. Nothing here imports Slicer or Qt.
"""

__version__ = "0.1.0"
