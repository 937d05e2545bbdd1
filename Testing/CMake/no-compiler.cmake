# Nothing of the extension is compiled: let cmake do without a compiler.
foreach(language IN ITEMS C CXX)
  set(CMAKE_${language}_COMPILER "${CMAKE_COMMAND}")
  set(CMAKE_${language}_COMPILER_FORCED TRUE)
endforeach()
