// XXH64 after its specification: four lanes over 32-byte stripes, merged, then the tail.
#include "core/io/checksum.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace reattn::io {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;
constexpr size_t kStripe = 32;

template <class T>
T load(const unsigned char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint64_t round(uint64_t lane, uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

// Takes whole stripes from [p, p + n) and returns the first byte not taken.
const unsigned char* take_stripes(std::array<uint64_t, 4>& lanes, const unsigned char* p,
                                  size_t n) {
  auto [a, b, c, d] = lanes;
  for (; n >= kStripe; n -= kStripe, p += kStripe) {
    a = round(a, load<uint64_t>(p));
    b = round(b, load<uint64_t>(p + 8));
    c = round(c, load<uint64_t>(p + 16));
    d = round(d, load<uint64_t>(p + 24));
  }
  lanes = {a, b, c, d};
  return p;
}

}  // namespace

Checksum::Checksum(uint64_t seed)
    : seed_(seed), lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1} {}

void Checksum::update(const void* data, size_t n) {
  if (n == 0) return;
  n_total_ += n;
  const auto* p = static_cast<const unsigned char*>(data);
  if (n_pending_ > 0) {
    const size_t n_taken = std::min(n, kStripe - n_pending_);
    std::memcpy(pending_.data() + n_pending_, p, n_taken);
    n_pending_ += n_taken;
    p += n_taken;
    n -= n_taken;
    if (n_pending_ < kStripe) return;
    take_stripes(lanes_, pending_.data(), kStripe);
    n_pending_ = 0;
  }
  const unsigned char* rest = take_stripes(lanes_, p, n);
  n_pending_ = n - static_cast<size_t>(rest - p);
  std::memcpy(pending_.data(), rest, n_pending_);
}

uint64_t Checksum::value() const {
  uint64_t h = seed_ + kPrime5;
  if (n_total_ >= kStripe) {
    h = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
        std::rotl(lanes_[3], 18);
    for (const uint64_t lane : lanes_) h = (h ^ round(0, lane)) * kPrime1 + kPrime4;
  }
  h += n_total_;

  const unsigned char* p = pending_.data();
  size_t n = n_pending_;
  for (; n >= 8; n -= 8, p += 8) {
    h = std::rotl(h ^ round(0, load<uint64_t>(p)), 27) * kPrime1 + kPrime4;
  }
  if (n >= 4) {
    h = std::rotl(h ^ load<uint32_t>(p) * kPrime1, 23) * kPrime2 + kPrime3;
    p += 4;
    n -= 4;
  }
  for (; n > 0; --n, ++p) h = std::rotl(h ^ *p * kPrime5, 11) * kPrime1;

  h = (h ^ h >> 33) * kPrime2;
  h = (h ^ h >> 29) * kPrime3;
  return h ^ h >> 32;
}

uint64_t checksum(const void* data, size_t n, uint64_t seed) {
  Checksum sum(seed);
  sum.update(data, n);
  return sum.value();
}

}  // namespace reattn::io
