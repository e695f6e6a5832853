// Opening the plug-in and choosing devices.
#include "capi/backend.hpp"

#include <mutex>
#include <optional>

#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/log.hpp"
#include "reattn/reattn.h"

namespace reattn::capi {
namespace {

constexpr int32_t kMaxThreads = 1024;

// What became of the plug-in. Never destroyed, as the library it holds is never closed.
struct Loaded {
  std::mutex mutex;
  std::shared_ptr<device::Backend> backend;
  std::optional<Error> error;  // of the one beside this library
  static Loaded& instance() {
    static Loaded* const loaded = new Loaded;
    return *loaded;
  }
};

std::string describe(const kernels::DeviceInfo& info) {
  return info.n_threads > 0
             ? concat(info.name, ", ", info.instructions, ", ", info.n_threads, " threads")
             : concat(info.name, ", ", info.instructions);
}

}  // namespace

std::shared_ptr<device::Backend> backend() {
  Loaded& loaded = Loaded::instance();
  const std::scoped_lock lock(loaded.mutex);
  if (loaded.backend) return loaded.backend;
  if (!loaded.error) {
    try {
      return loaded.backend = std::make_shared<device::Backend>("");
    } catch (const Error& e) {
      loaded.error = e;
    }
  }
  throw *loaded.error;
}

void load_backend(const std::string& path) {
  Loaded& loaded = Loaded::instance();
  const std::scoped_lock lock(loaded.mutex);
  if (loaded.backend) {
    if (loaded.backend->path() == path) return;
    fail(ErrorCode::kBusy, "the plug-in ", loaded.backend->path(), " is in use, ", path,
         " cannot take its place");
  }
  loaded.backend = std::make_shared<device::Backend>(path);
}

std::shared_ptr<kernels::Device> open_device(int32_t kind, int32_t index, int32_t n_threads) {
  if (n_threads < 0 || n_threads > kMaxThreads) {
    fail(ErrorCode::kArg, "n_threads is ", n_threads, ", not 0 ... ", kMaxThreads);
  }
  if (index < 0 || (kind == REATTN_DEVICE_CPU && index > 0)) {
    fail(ErrorCode::kArg, "device_index is ", index,
         kind == REATTN_DEVICE_CPU ? ", the CPU has 0 alone" : ", must be 0 or more");
  }
  if (kind == REATTN_DEVICE_CUDA) return backend()->device(index);
  if (kind == REATTN_DEVICE_CPU) return kernels::make_cpu_device(n_threads);
  if (kind != REATTN_DEVICE_AUTO) {
    fail(ErrorCode::kArg, "device is ", kind, ", not one of REATTN_DEVICE_*");
  }
  std::string why;
  try {
    auto device = backend()->device(index);
    log_message("device AUTO chose CUDA: ", describe(device->info()));
    return device;
  } catch (const Error& e) {
    why = e.what();
  }
  auto device = kernels::make_cpu_device(n_threads);
  log_message("device AUTO chose CPU: ", describe(device->info()), "; not CUDA: ", why);
  return device;
}

}  // namespace reattn::capi

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_backend_load(const uint8_t* path, uint64_t path_bytes, reattn_error** err) {
  return guard(err, [&] {
    load_backend(input_path(path, path_bytes));
    return REATTN_OK;
  });
}

reattn_status reattn_backend_diagnose(uint8_t* buf, uint64_t cap, uint64_t* needed,
                                      reattn_error** err) {
  return guard(err, [&] {
    const Output out(buf, cap, needed, "buf");
    std::string text = concat("CPU: ", describe(kernels::make_cpu_device(0)->info()), "\n");
    try {
      const auto plugin = backend();
      text += concat("CUDA: plug-in ", plugin->path(), "\n");
      for (int32_t i = 0; i < plugin->n_devices(); ++i) {
        text += concat("CUDA: device ", i, ": ", describe(plugin->info(i)), "\n");
      }
    } catch (const Error& e) {
      text += concat("CUDA: cannot be used: ", e.what(), "\n");
    }
    out.write(text);
    return REATTN_OK;
  });
}
