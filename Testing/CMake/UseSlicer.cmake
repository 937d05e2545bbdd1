# What a scripted extension calls of Slicer's macros; mirrors CMake/UseSlicer.cmake.in,
# SlicerMacroBuildScriptedModule.cmake and SlicerMacroPythonTesting.cmake, and of CTK
# ctkMacroCompilePythonScript.cmake.
if("${PROJECT_NAME}" MATCHES "^$|^Slicer$|^Project$")
  message(FATAL_ERROR "project(<name of the extension>) has to come before Slicer_USE_FILE")
endif()
set(EXTENSION_NAME ${PROJECT_NAME})
include(CTest)

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT DEFINED MODULE_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  if("${MODULE_SCRIPTS}" STREQUAL "")
    message(FATAL_ERROR "SCRIPTS is mandatory")
  endif()

  set(destination ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
  set(installed ${destination}/)
  if(MODULE_WITH_SUBDIR)
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(destination ${destination}/${folder})
    set(installed ${destination})
  endif()

  # Files keep their place below the folder of the module.
  set(copies "")
  foreach(file IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    if(IS_ABSOLUTE ${file} OR NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "No such file in ${CMAKE_CURRENT_SOURCE_DIR}: ${file}")
    endif()
    add_custom_command(
      OUTPUT ${destination}/${file}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${destination}/${file}
      )
    list(APPEND copies ${destination}/${file})
  endforeach()
  add_custom_target(Copy${MODULE_NAME}PythonFiles ALL DEPENDS ${copies})
  install(DIRECTORY ${installed} DESTINATION ${Slicer_QTSCRIPTEDMODULES_LIB_DIR} USE_SOURCE_PERMISSIONS)

  if(BUILD_TESTING AND MODULE_WITH_GENERIC_TESTS)
    set(MODULENAME ${MODULE_NAME})
    string(TOLOWER ${MODULE_NAME} MODULENAME_LC)
    set(script qSlicer${MODULE_NAME}ModuleGenericTest.py)
    configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/GenericTest.py.in ${CMAKE_CURRENT_BINARY_DIR}/${script} @ONLY)
    slicer_add_python_unittest(
      SCRIPT ${script}
      SLICER_ARGS --no-main-window --disable-cli-modules
      TESTNAME_PREFIX nomainwindow_
      )
  endif()
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(TEST "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  get_filename_component(name ${TEST_SCRIPT} NAME_WE)
  get_filename_component(folder ${TEST_SCRIPT} DIRECTORY)
  if("${folder}" STREQUAL "")
    set(folder ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  add_test(
    NAME py_${TEST_TESTNAME_PREFIX}${name}
    COMMAND ${Slicer_LAUNCHER_EXECUTABLE} --no-splash --testing ${TEST_SLICER_ARGS}
    --additional-module-paths ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    --python-code "import slicer.testing; slicer.testing.runUnitTest(['${CMAKE_CURRENT_BINARY_DIR}', '${folder}'], '${name}')"
    )
  set_property(TEST py_${TEST_TESTNAME_PREFIX}${name} PROPERTY RUN_SERIAL TRUE)
endfunction()
