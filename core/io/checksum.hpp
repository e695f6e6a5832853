// XXH64, the checksum of snapshots: finds accidents, not attacks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace reattn::io {

// Streaming XXH64 (xxHash fast digest algorithm, specification 0.2): the same bytes give the same
// value however they are cut into updates.
class Checksum {
 public:
  explicit Checksum(uint64_t seed = 0);

  // `data` may be null where n is 0.
  void update(const void* data, size_t n);
  // Of all bytes so far; more updates may follow.
  uint64_t value() const;

 private:
  uint64_t seed_;
  std::array<uint64_t, 4> lanes_;
  std::array<unsigned char, 32> pending_{};  // bytes of a stripe not yet whole
  size_t n_pending_ = 0;
  uint64_t n_total_ = 0;
};

// XXH64 of n bytes at once.
uint64_t checksum(const void* data, size_t n, uint64_t seed = 0);

}  // namespace reattn::io
