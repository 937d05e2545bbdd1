# Other extensions find this one by the file that Slicer writes here. They have no need of it.
