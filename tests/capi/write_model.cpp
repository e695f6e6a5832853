// write_model PATH: the tiny model as a file, for tests of whole programs.
#include "tests/support/tiny_llama.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  reattn::test::write_file(argv[1], reattn::test::tiny_llama());
  return 0;
}
