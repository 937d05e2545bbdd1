# Stands in for the SlicerConfig.cmake of a Slicer build tree, as far as a scripted extension needs
# it. What it offers mirrors CMake/ and Extensions/CMake/ of Slicer's source; it builds nothing.
set(Slicer_VERSION 5.10)
set(Slicer_REVISION 0)
set(Slicer_USE_PYTHONQT ON)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-${Slicer_VERSION}/qt-scripted-modules)
set(Slicer_SHARE_DIR share/Slicer-${Slicer_VERSION})

set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/Package.cmake)

# The host that stands in for Slicer, started as Slicer is.
find_program(Slicer_PYTHON python3 REQUIRED)
set(Slicer_LAUNCHER_EXECUTABLE
  ${Slicer_PYTHON} ${Slicer_PYTHON_FLAGS} ${CMAKE_CURRENT_LIST_DIR}/../Host/launcher.py)
