// What reattn.h's pointers really are: numbers that a table checks before anything is touched.
//
// A handle is a slot of the table and the slot's generation, which changes whenever the slot is
// freed. Its bits form no address a program could have (non-canonical on x86-64 and AArch64), so a
// real pointer handed in by mistake is never taken for a handle, nor a handle dereferenced quietly.
#pragma once

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "reattn/kernels/error.hpp"
#include "reattn/reattn.h"

namespace reattn::capi {

enum class Kind : uint8_t { kNone = 0, kError, kModel, kSession, kCache, kRequest, kQueue };

class HandleTable {
 public:
  // Never destroyed, so that handles stay valid while the process ends.
  static HandleTable& instance();

  // Throws std::bad_alloc, and Error(kOomHost) when every slot is taken.
  uintptr_t add(Kind kind, std::shared_ptr<void> object);
  // Null where `handle` is no live handle of this kind.
  std::shared_ptr<void> find(uintptr_t handle, Kind kind) noexcept;
  // The same, and the handle is dead from then on. The object dies with its last reference,
  // outside of the table's lock.
  std::shared_ptr<void> remove(uintptr_t handle, Kind kind) noexcept;

 private:
  struct Slot {
    std::shared_ptr<void> object;
    uint32_t generation = 0;
    Kind kind = Kind::kNone;
  };

  // Null where there is none; mutex_ is held.
  Slot* lookup(uintptr_t handle, Kind kind) noexcept;

  std::shared_mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;  // slots to use again; its capacity is that of slots_
};

// An object type T of this library has: T::kKind, T::kName for messages, T::Handle from reattn.h.

// The object stays alive for as long as the result does, whatever is freed meanwhile.
template <class T>
std::shared_ptr<T> pin(const typename T::Handle* handle) {
  auto object = HandleTable::instance().find(reinterpret_cast<uintptr_t>(handle), T::kKind);
  if (!object) fail(ErrorCode::kHandle, "'", T::kName, "' is not a live ", T::kName, " handle");
  return std::static_pointer_cast<T>(std::move(object));
}

template <class T>
std::shared_ptr<T> pin_or_null(const typename T::Handle* handle) {
  return handle ? pin<T>(handle) : nullptr;
}

template <class T>
typename T::Handle* publish(std::shared_ptr<T> object) {
  const uintptr_t handle = HandleTable::instance().add(T::kKind, std::move(object));
  return reinterpret_cast<typename T::Handle*>(handle);
}

template <class T>
std::shared_ptr<T> retire(typename T::Handle* handle) noexcept {
  return std::static_pointer_cast<T>(
      HandleTable::instance().remove(reinterpret_cast<uintptr_t>(handle), T::kKind));
}

}  // namespace reattn::capi
