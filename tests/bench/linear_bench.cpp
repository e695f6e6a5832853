// Times products with weights of each type: linear_bench [n_threads] [n_out] [n_in] [type].
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/cpu/ops.hpp"
#include "tests/bench/best_seconds.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace k = reattn::kernels;
using reattn::bench::best_seconds;
using reattn::bench::Seconds;

int main(int argc, char** argv) {
  const int n_threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const int64_t n_out = argc > 2 ? std::atoll(argv[2]) : 4096;
  const int64_t n_in = argc > 3 ? std::atoll(argv[3]) : 2048;
  const std::string only = argc > 4 ? argv[4] : "";
  if (n_threads < 1 || n_out < 1 || n_in < 256 || n_in % 256 != 0) {
    std::fprintf(stderr, "usage: linear_bench [n_threads] [n_out] [n_in, times 256] [type]\n");
    return 2;
  }
  k::cpu::ThreadPool pool(n_threads);
  k::cpu::ScratchPool scratch;
  const k::cpu::Context c{pool, scratch, nullptr};
  const std::vector<float> x = k::random_floats(512 * n_in, 1);
  std::vector<float> out(static_cast<size_t>(512 * n_out));
  for (const k::DType type : k::kAllTypes) {
    const std::string name(k::dtype_info(type).name);
    if (!only.empty() && only != name) continue;
    const k::RandomMatrix w(type, n_out, n_in, 2);
    for (const int64_t n_rows : {1, 4, 512}) {
      const k::MatmulArgs a{x.data(), n_rows, w.matrix(), nullptr, out.data(), false};
      const Seconds s = best_seconds(n_rows == 512 ? 5 : 40, [&] { k::cpu::matmul(c, a); });
      const double flop = 2.0 * static_cast<double>(n_rows * n_out * n_in);
      std::printf(
          "%-7s %3d rows %9.3f ms wall, %9.3f ms cpu, %6.2f GB/s, %6.1f GFLOP/s a busy core\n",
          name.c_str(), static_cast<int>(n_rows), s.wall * 1e3, s.cpu * 1e3,
          static_cast<double>(w.bytes.size()) / s.cpu * 1e-9, flop / s.cpu * 1e-9);
    }
  }
}
