# Read by ctest once the tests are known: gtest_discover_tests itself cannot give several labels.
foreach(test IN LISTS golden_tests)
  set_tests_properties("${test}" PROPERTIES LABELS "cli;model;slow")
endforeach()
