// Int8 keys on the CUDA device: the same bits as the reference's, and the general kernel's picks by them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/cuda/select/score.hpp"
#include "tests/kernels/cuda_context.hpp"
#include "tests/kernels/cuda_fixture.hpp"
#include "tests/kernels/int8_keys.hpp"

namespace reattn::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> normal_floats(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

size_t size(int64_t n) {
  return static_cast<size_t>(n);
}

std::vector<float> reversed(std::vector<float> x) {
  std::reverse(x.begin(), x.end());
  return x;
}

// A cache with keys and values in int8 too, in host memory and in device memory, poisoned both. Values are the keys, reversed.
class Twin {
 public:
  Twin(DType dtype, int32_t n_kv_heads, int32_t head_dim, const std::vector<float>& k)
      : n_tokens_(static_cast<int64_t>(k.size()) / (n_kv_heads * head_dim)),
        cache_(dtype, n_kv_heads, head_dim, k, reversed(k)),
        keys_(cache_.host_pages(), n_tokens_),
        values_(cache_.host_pages(), n_tokens_) {
    const size_t bytes = Int8Keys::page_bytes(cache_.host_pages());
    for (auto* table : {&k8_, &v8_}) {
      std::vector<void*> pages;
      for (size_t i = 0; i < keys_.table().size(); ++i) {
        memory_.push_back(std::make_unique<DeviceArray<unsigned char>>(bytes));
        memory_.back()->fill_bytes(Int8Keys::kPoison);
        pages.push_back(memory_.back()->data());
      }
      *table = std::make_unique<DeviceArray<void*>>(pages);
    }
  }
  KvPages host() const {
    KvPages p = keys_.pages();
    p.v8 = values_.table().data();
    return p;
  }
  KvPages on_device() const {
    KvPages p = cache_.device_pages;
    p.k8 = k8_->data();
    p.v8 = v8_->data();
    return p;
  }
  int64_t n_complete() const { return complete_blocks(n_tokens_); }
  void quantize(int64_t begin, int64_t end) const {
    reference::quantize_keys({host(), begin, end});
    Stream s;
    const QuantizeKeysArgs a{on_device(), begin, end};
    cuda_device()->quantize_keys(s, {&a, 1});
  }
  // Numbers and scales of all blocks, also of those that nobody made.
  void expect_same_bits() const {
    for (size_t page = 0; page < memory_.size(); ++page) {
      const size_t n = keys_.table().size();
      const void* want = page < n ? keys_.table()[page] : values_.table()[page - n];
      expect_same(memory_[page]->download(), want, page);
    }
  }
  // The rows that the pages hold natively.
  void expect_same_rows(int64_t begin, int64_t end) const {
    const KvPages& p = cache_.host_pages();
    Stream s;
    for (const bool is_v : {false, true}) {
      void* const* from = is_v ? cache_.device_pages.v : cache_.device_pages.k;
      const auto row = size(row_bytes(p.dtype, p.head_dim));
      for (int64_t t = begin; t < end; ++t) {
        void* page = nullptr;
        cuda_device()->download(s, &page, from + t / kPageTokens, sizeof page);
        for (int32_t head = 0; head < p.n_kv_heads; ++head) {
          const size_t at = size(head * kPageTokens + t % kPageTokens) * row;
          std::vector<unsigned char> got(row);
          cuda_device()->download(s, got.data(), static_cast<unsigned char*>(page) + at, row);
          expect_same(got, static_cast<unsigned char*>((is_v ? p.v : p.k)[t / kPageTokens]) + at,
                      size(t));
          ASSERT_FALSE(testing::Test::HasFailure());
        }
      }
    }
  }

 private:
  static void expect_same(const std::vector<unsigned char>& got, const void* want, size_t which) {
    size_t n_different = 0, first = 0;
    for (size_t i = got.size(); i-- > 0;) {
      if (got[i] == static_cast<const unsigned char*>(want)[i]) continue;
      ++n_different;
      first = i;
    }
    ASSERT_EQ(n_different, 0U) << "of page or row " << which << ", the first at " << first;
  }

  int64_t n_tokens_;
  TwinCache cache_;
  Int8Keys keys_, values_;
  std::vector<std::unique_ptr<DeviceArray<unsigned char>>> memory_;  // of keys, then of values
  std::unique_ptr<DeviceArray<void*>> k8_, v8_;
};

using CudaQuantize = CudaTest;

TEST_F(CudaQuantize, GivesTheReferencesBits) {
  unsigned seed = 1;
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (const int32_t head_dim : {8, 20, 64, 80, 128, 256}) {
      for (const int32_t n_kv_heads : {1, 3, 8}) {
        std::vector<float> k = normal_floats(size(1'300) * size(n_kv_heads * head_dim), seed++);
        std::mt19937 random(seed);
        for (int i = 0; i < 2'000; ++i) k[random() % k.size()] *= 50;
        for (int i = 0; i < 3; ++i) k[random() % k.size()] = i == 0 ? kNan : i == 1 ? kInf : -kInf;
        for (size_t i = size(256 * n_kv_heads * head_dim); i < size(384 * n_kv_heads * head_dim);
             ++i) {
          k[i] = i % 2 == 0 ? 0.0F : -0.0F;
        }
        for (size_t i = size(384 * n_kv_heads * head_dim); i < size(512 * n_kv_heads * head_dim);
             ++i) {
          k[i] *= 1e-42F;  // a scale that is denormal, or 0
        }
        const Twin twin(dtype, n_kv_heads, head_dim, k);
        twin.quantize(128, 1'280);
        twin.expect_same_bits();
        ASSERT_FALSE(HasFailure())
            << dtype_info(dtype).name << ", heads " << n_kv_heads << ", head_dim " << head_dim;
      }
    }
  }
}

TEST_F(CudaQuantize, EveryTieGoesToTheEvenNumber) {
  std::vector<float> k(size(128) * 64);
  for (size_t i = 0; i < k.size(); ++i)
    k[i] = static_cast<float>(static_cast<int>(i % 509) - 254) / 2;
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    const Twin twin(dtype, 1, 64, k);
    twin.quantize(0, 128);
    twin.expect_same_bits();
  }
}

TEST_F(CudaQuantize, AListOfAnyKindIsWhatItsEntriesAre) {
  std::vector<std::unique_ptr<Twin>> twins;
  std::vector<QuantizeKeysArgs> list;
  for (int i = 0; i < 37; ++i) {
    const DType dtype = i % 10 == 9 ? DType::kF32 : i < 25 ? DType::kBF16 : DType::kF16;
    const int32_t heads = 1 + i % 3, dim = i % 4 == 0 ? 64 : 128;
    twins.push_back(std::make_unique<Twin>(
        dtype, heads, dim,
        normal_floats(size((130 + 97 * (i % 11)) * heads * dim), 50 + static_cast<unsigned>(i))));
    const int64_t end = i == 5 ? 0 : twins.back()->n_complete();
    reference::quantize_keys({twins.back()->host(), 0, end});
    list.push_back({twins.back()->on_device(), 0, end});
  }
  device().quantize_keys(stream_, list);
  for (const auto& twin : twins) twin->expect_same_bits();
  device().quantize_keys(stream_, {});
}

TEST_F(CudaQuantize, RefusesWhatIsOutOfRange) {
  const Twin twin(DType::kF16, 1, 64, normal_floats(size(300) * 64, 9));
  std::vector<QuantizeKeysArgs> bad(4, {twin.on_device(), 0, 128});
  bad[0].pages.k8 = nullptr;
  bad[1].begin = 1;
  bad[2].end = 200;
  bad[3].begin = 256;
  for (const QuantizeKeysArgs& a : bad)
    EXPECT_THROW(device().quantize_keys(stream_, {&a, 1}), Error);
  EXPECT_TRUE(device().scores_int8());
}

TEST_F(CudaQuantize, RestoresRowsAsTheReference) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    const Twin twin(dtype, 3, 20, normal_floats(size(800) * 60, 11));
    twin.quantize(0, 768);
    reference::restore_rows({twin.host(), 500, 530});
    const RestoreRowsArgs a{twin.on_device(), 500, 530};
    device().restore_rows(stream_, {&a, 1});
    twin.expect_same_rows(495, 535);
  }
}

TEST_F(CudaQuantize, AttendsInInt8AsTheReference) {
  struct Shape {
    int64_t n_queries;
    int32_t n_heads, n_kv_heads, head_dim;
    DType dtype;
  };
  for (const Shape& c : {Shape{1, 8, 2, 128, DType::kF16},
                         {33, 9, 3, 64, DType::kBF16},
                         {5, 4, 4, 20, DType::kF32},
                         {300, 4, 1, 128, DType::kF16}}) {
    const Twin twin(c.dtype, c.n_kv_heads, c.head_dim,
                    normal_floats(size(900 * c.n_kv_heads * c.head_dim), 21));
    twin.quantize(0, 896);
    const std::vector<float> q = normal_floats(size(c.n_queries * c.n_heads * c.head_dim), 22);
    const std::vector<float> angles = normal_floats(size(1'000 * c.head_dim / 2), 23);
    std::vector<float> cosines(angles), sines(angles);
    for (float& x : cosines) x = std::cos(x);
    for (float& x : sines) x = std::sin(x);
    const std::vector<int32_t> recalled = {40, 41, 42, 250, 251, 383, 384};
    const int32_t n_recalled = 7;
    for (const int64_t int8_end : {128, 384, 896}) {
      std::vector<float> want(q.size());
      AttendArgs a{q.data(),
                   c.n_queries,
                   c.n_heads,
                   twin.host(),
                   900,
                   20,
                   recalled.data(),
                   &n_recalled,
                   500,
                   {cosines.data(), sines.data(), 1'000, RopeLayout::kHalves},
                   0.1F,
                   want.data(),
                   int8_end};
      reference::attend(a);
      const DeviceArray<float> q_at(q), cos_at(cosines), sin_at(sines);
      const DeviceArray<int32_t> recalled_at(recalled), n_at(std::vector<int32_t>{n_recalled});
      DeviceArray<float> out(q.size());
      out.fill_bytes(0xFF);
      a.q = q_at.data();
      a.pages = twin.on_device();
      a.recalled = recalled_at.data();
      a.n_recalled = n_at.data();
      a.rope.cos = cos_at.data();
      a.rope.sin = sin_at.data();
      a.out = out.data();
      device().attend(stream_, {&a, 1});
      const std::vector<float> got = out.download();
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], want[i], 2e-3) << "T " << c.n_queries << ", head_dim " << c.head_dim
                                           << ", int8 to " << int8_end << ", at " << i;
      }
    }
  }
}

struct ScoreCase {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t middle_begin, middle_end, int8_end;
  int32_t top_k = 4, vote_stride = 1;
  bool block1 = false;
  DType dtype = DType::kBF16;
};

// Integer products are exact and so are their scores, so picks among positions below int8_end are the reference's in every bit;
// above it small integers make the native sums exact too.
void expect_the_references_picks(const ScoreCase& c, bool integers, unsigned seed, bool general) {
  const auto n_k = size(c.middle_end * c.n_kv_heads * c.head_dim);
  const auto n_q = size(c.n_queries * c.n_heads * c.head_dim);
  std::vector<float> k = normal_floats(n_k, seed), q = normal_floats(n_q, seed + 1);
  if (integers) {
    for (auto* v : {&k, &q}) {
      for (float& x : *v) x = std::nearbyint(x * 1.5F);
    }
  }
  const Twin twin(c.dtype, c.n_kv_heads, c.head_dim, k);
  twin.quantize(0, std::min(c.int8_end, twin.n_complete()));
  const auto n_picks = size(n_voters(c.n_queries, c.vote_stride) * c.n_heads * c.top_k);
  std::vector<int32_t> want(n_picks, -2);
  ScoreArgs a{q.data(), c.n_queries,   c.n_heads, twin.host(), c.middle_begin, c.middle_end,
              c.top_k,  c.vote_stride, c.block1,  want.data(), c.int8_end};
  reference::score(a);
  const DeviceArray<float> q_device(q);
  DeviceArray<int32_t> picks(n_picks);
  picks.fill_bytes(0xA5);
  a.q = q_device.data();
  a.pages = twin.on_device();
  a.picks = picks.data();
  if (general) {
    static cuda::OwnContext own;
    picks.download();  // what the device was given has arrived
    cuda::score_with(own.get(), {&a, 1}, cuda::ScoreKernel::kGeneral);
    cuda::check(cudaStreamSynchronize(own.get().stream), "general");
  } else {
    Stream s;
    cuda_device()->score(s, {&a, 1});
  }
  const std::vector<int32_t> got = picks.download();
  size_t n_different = 0, first = 0;
  for (size_t i = n_picks; i-- > 0;) {
    if (got[i] == want[i]) continue;
    ++n_different;
    first = i;
  }
  ASSERT_EQ(n_different, 0U) << "T " << c.n_queries << ", heads " << c.n_heads << "/"
                             << c.n_kv_heads << ", head_dim " << c.head_dim << ", middle ["
                             << c.middle_begin << ", " << c.middle_end << "), int8 to "
                             << c.int8_end << ", top_k " << c.top_k << ", stride " << c.vote_stride
                             << ", block1 " << c.block1 << ", " << dtype_info(c.dtype).name
                             << ": of " << n_picks << " picks, the first at " << first << ": "
                             << got[first] << ", not " << want[first];
}

std::vector<ScoreCase> all_in_int8() {
  return {{1, 8, 2, 128, 32, 2'000, 2'048},
          {5, 9, 3, 64, 131, 1'500, 1'536, 4, 2, false, DType::kF16},
          {40, 4, 4, 80, 7, 900, 896 + 128, 16, 3, true, DType::kF32},
          {33, 9, 3, 64, 32, 1'300, 1'408, 1, 1, true, DType::kBF16},
          {70, 8, 1, 128, 32, 1'030, 1'152, 8, 1, false, DType::kF16},
          {3, 2, 1, 256, 0, 640, 640},
          {12, 3, 1, 20, 0, 641, 768, 3, 1, false, DType::kF32}};
}

TEST_F(CudaQuantize, ScoresInInt8AsTheReference) {
  for (const bool general : {true, false}) {
    unsigned seed = 70;
    for (ScoreCase c : all_in_int8()) {
      c.int8_end = complete_blocks(c.middle_end);  // keys beyond it are not there: end with it
      c.middle_end = c.int8_end;
      expect_the_references_picks(c, false, seed += 2, general);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(CudaQuantize, MixesInt8AndNativePositions) {
  for (const bool general : {true, false}) {
    unsigned seed = 170;
    for (ScoreCase c : all_in_int8()) {
      for (const int64_t int8_end : {int64_t{128}, int64_t{256}, complete_blocks(c.middle_end)}) {
        c.int8_end = int8_end;
        expect_the_references_picks(c, true, seed += 2, general);
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
