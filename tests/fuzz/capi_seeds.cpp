// Writes the first inputs of capi_fuzz to the folder named: random bytes, each a sequence of calls.
#include <fstream>
#include <random>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (uint32_t seed = 0; seed < 64; ++seed) {
    std::mt19937 random(seed);
    std::string bytes(random() % 2048, '\0');
    for (char& b : bytes) b = static_cast<char>(random());
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(seed), std::ios::binary) << bytes;
  }
  return 0;
}
