// The fuzzer's call sequences from random bytes of fixed seeds: sequences_main FIRST LAST.
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  for (uint32_t seed = static_cast<uint32_t>(std::atoi(argv[1]));
       seed < static_cast<uint32_t>(std::atoi(argv[2])); ++seed) {
    std::mt19937 random(seed);
    std::vector<uint8_t> bytes(random() % 2048);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  return 0;
}
