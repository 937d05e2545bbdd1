"""The parts of the Slicer module MedWatermark, one noun in each file."""
