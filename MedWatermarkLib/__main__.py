"""``python -m MedWatermarkLib``: the same command line as ``medwatermark``."""  # noqa: N999

from MedWatermarkLib.cli import main

if __name__ == "__main__":
    main()
