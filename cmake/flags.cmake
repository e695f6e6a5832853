# What every target of this project is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_program(REATTN_CCACHE ccache)
if(REATTN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${REATTN_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${REATTN_CCACHE}")
endif()

add_library(reattn_flags INTERFACE)
target_compile_options(reattn_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wshadow;-Wno-missing-field-initializers>"
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>  # false in gcc 12's std::string (PR 105651)
  $<$<AND:$<BOOL:${REATTN_WERROR}>,$<COMPILE_LANGUAGE:C,CXX>>:-Werror>)
# For every target: instrumented and plain C++ do not mix in one program.
if(REATTN_SANITIZE)
  add_compile_options(
    -fsanitize=${REATTN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${REATTN_SANITIZE})
endif()
if(REATTN_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
endif()
if(REATTN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # coverage; the targets link -fsanitize=fuzzer
endif()
