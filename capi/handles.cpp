// The handle table: one reader-writer lock, held for a few instructions.
#include "capi/handles.hpp"

#include <limits>
#include <mutex>
#include <utility>

namespace reattn::capi {
namespace {

static_assert(sizeof(uintptr_t) == 8, "handles need 64 bits");

// Bits: 01 (no address has them), 6 of kind, 32 of generation, 24 of slot.
constexpr int kSlotBits = 24;
constexpr uint64_t kMaxSlots = uint64_t{1} << kSlotBits;
constexpr uint64_t kTag = uint64_t{1} << 62;

constexpr uint64_t encode(Kind kind, uint32_t generation, uint64_t slot) {
  return kTag | uint64_t{static_cast<uint8_t>(kind)} << 56 | uint64_t{generation} << kSlotBits |
         slot;
}

}  // namespace

HandleTable& HandleTable::instance() {
  static HandleTable* const table = new HandleTable;
  return *table;
}

uintptr_t HandleTable::add(Kind kind, std::shared_ptr<void> object) {
  const std::unique_lock lock(mutex_);
  if (free_.empty()) {
    if (slots_.size() == kMaxSlots) {
      fail(ErrorCode::kOomHost, "all ", kMaxSlots, " handles are in use");
    }
    // Room in the free list first: giving a slot back must not allocate.
    if (slots_.size() == slots_.capacity()) {
      const size_t n = slots_.empty() ? 64 : 2 * slots_.size();
      free_.reserve(n);
      slots_.reserve(n);
    }
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.object = std::move(object);
  slot.kind = kind;
  return encode(kind, slot.generation, index);
}

HandleTable::Slot* HandleTable::lookup(uintptr_t handle, Kind kind) noexcept {
  const uint64_t index = handle & (kMaxSlots - 1);
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  if (slot.kind != kind || handle != encode(kind, slot.generation, index)) return nullptr;
  return &slot;
}

std::shared_ptr<void> HandleTable::find(uintptr_t handle, Kind kind) noexcept {
  const std::shared_lock lock(mutex_);
  const Slot* slot = lookup(handle, kind);
  return slot ? slot->object : nullptr;
}

std::shared_ptr<void> HandleTable::remove(uintptr_t handle, Kind kind) noexcept {
  const std::unique_lock lock(mutex_);
  Slot* slot = lookup(handle, kind);
  if (!slot) return nullptr;
  auto object = std::move(slot->object);
  slot->kind = Kind::kNone;
  // A slot whose generations are used up rests for good: no old handle ever comes to life again.
  if (slot->generation++ != std::numeric_limits<uint32_t>::max()) {
    free_.push_back(static_cast<uint32_t>(handle & (kMaxSlots - 1)));
  }
  return object;
}

}  // namespace reattn::capi
