"""MedWatermark: a medical scan that carries its signed diagnosis in its own voxels.

One noun, one file, from the ground up; nothing imports Slicer or Qt:

- new files: ``lock``, ``scratch``, ``output``;
- scans: ``volume``, ``stamp``, ``imageio``, and for DICOM ``dicom*``, ``derived_series``,
  ``slice_grid``, ``identity``, ``derivation``;
- claims: ``claim``, ``account``, ``mention``, ``qr``;
- the mark, on arrays: ``dct``, ``sites``, ``layout``, ``body``, ``blocks``, ``strength``,
  ``channel_code``, ``tag``, ``polar_code``, ``capacity``, ``change``, ``modulation``,
  ``restoration``, ``soft``, ``reliability``, ``averaged``, ``pilots``, ``decoding``,
  ``alignment``, ``pilot_search``, ``comb``, ``suspect``, ``climb``, ``candidates``,
  ``geometry*``, ``grid_search``, ``interpolation``, ``impulses``, ``smoothing``, ``contrast``,
  ``order``, ``undone``, ``extracted``, ``gain``, ``received``, ``reader``, ``detector``; with the
  original at hand ``placement``, ``pose``, ``residue``, ``correspondence``, ``reference``;
  ``watermark``; of copies ``copy_words``, ``trace``; ``quality`` measures it;
- ``scan``: a scan and its claim, which is what most callers want;
- what leaves the house: ``confidentiality``, ``pseudonym``, ``descriptor``, ``burned_in``,
  ``face``, ``header_text``, ``deidentify``, ``deidentified``;
- primitives that the contracts recompute: ``sha256``, ``chunks``, ``merkle``, ``keystream``;
- where it was altered: ``tiles``, ``tamper``;
- the ledger: ``signature``, ``record*``, ``sale*``, ``contract*``, ``journal``, ``fees``,
  ``transactions``, ``registry*``, ``fair_exchange``, ``embedded_chain``, ``ledger``,
  ``practice``;
- packages: ``package``, ``unpacked``, ``sealing``, ``sealed_package``, ``sale_file``, ``store``;
- ``exchange``: its two sides, ``owner`` and ``recipient``, in steps that can be repeated; ``cheat``
  is an owner who sends one wrong chunk, for the demonstration and the tests;
- ``verify``: every check on a scan that was received;
- many scans: ``worklist``, ``results``, ``run_folder``, ``batch*``, ``workers``;
- a hospital's archive: ``pacs``, ``dicomweb``, ``dimse``;
- the command line: ``cli`` and what it shows.
"""

__version__ = "0.1.0"
