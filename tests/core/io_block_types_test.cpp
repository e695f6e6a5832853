// The block types of GGUF files, several in one file, against what another implementation reads in the same bytes
// (make_block_types.py).
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/io/gguf.hpp"
#include "kernels/cpu/reference/dequantize.hpp"

namespace reattn::io {
namespace {

template <class T>
std::vector<T> read(const Gguf& file, const TensorInfo& tensor) {
  std::vector<T> out(tensor.n_bytes / sizeof(T));
  file.read_tensor(tensor, std::as_writable_bytes(std::span(out)));
  return out;
}

class BlockTypes : public testing::TestWithParam<const char*> {};

TEST_P(BlockTypes, AreWhatTheGgufPackageReads) {
  const Gguf file = Gguf::open(REATTN_TEST_DATA "/block_types.gguf");
  const TensorInfo& blocks = file.get_tensor(GetParam());
  EXPECT_EQ(kernels::dtype_info(blocks.dtype).name, GetParam());
  ASSERT_EQ(blocks.shape, (std::vector<int64_t>{256, 2}));
  const auto bytes = read<std::byte>(file, blocks);
  const auto expected = read<float>(file, file.get_tensor(std::string(GetParam()) + ".values"));
  ASSERT_EQ(expected.size(), 512u);
  std::vector<float> row(256);
  for (int64_t r = 0; r < 2; ++r) {
    kernels::reference::dequantize_row({bytes.data(), blocks.dtype, 2, 256}, r, row.data());
    for (size_t i = 0; i < row.size(); ++i) {
      ASSERT_EQ(row[i], expected[static_cast<size_t>(r) * 256 + i]) << "row " << r << ", " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Gguf, BlockTypes,
                         testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K",
                                         "Q6_K", "IQ4_NL"),
                         [](const auto& type) { return std::string(type.param); });

}  // namespace
}  // namespace reattn::io
