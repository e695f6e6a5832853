#include "core/device/backend.hpp"

#include <dlfcn.h>

#include <string_view>

namespace reattn::device {
namespace {

constexpr std::string_view kFile = "libreattn_cuda.so";

// The folder of the library that this function is part of.
std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) {
    return "";
  }
  const std::string_view file = info.dli_fname;
  const size_t slash = file.rfind('/');
  return std::string(slash == file.npos ? "" : file.substr(0, slash + 1));
}

}  // namespace

Backend::Backend(const std::string& path)
    : path_(path.empty() ? own_folder().append(kFile) : path) {
  void* library = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* why = dlerror();
    fail(ErrorCode::kNoDevice, "the plug-in cannot be opened: ", why != nullptr ? why : path_);
  }
  const auto entry = reinterpret_cast<decltype(&reattn_plugin)>(dlsym(library, "reattn_plugin"));
  if (entry == nullptr) {
    dlclose(library);
    fail(ErrorCode::kNoDevice, path_, " is no plug-in of libreattn: it has no reattn_plugin");
  }
  plugin_ = entry();
  const std::string_view own = REATTN_BUILD_ID;
  if (plugin_ == nullptr || plugin_->build_id == nullptr || own != plugin_->build_id) {
    fail(ErrorCode::kNoDevice, path_, " belongs to another build of libreattn (its id begins with ",
         std::string_view(plugin_ != nullptr && plugin_->build_id != nullptr ? plugin_->build_id
                                                                             : "?")
             .substr(0, 8),
         ", this library's with ", own.substr(0, 8), ")");
  }
}

int32_t Backend::n_devices() const {
  return plugin_->device_count();
}

kernels::DeviceInfo Backend::info(int32_t index) const {
  return plugin_->device_info(index);
}

std::shared_ptr<kernels::Device> Backend::device(int32_t index) {
  const int32_t n = n_devices();
  if (index < 0 || index >= n) {
    fail(ErrorCode::kNoDevice, "CUDA: there is no device ", index, ", the driver sees ", n);
  }
  const std::scoped_lock lock(mutex_);
  if (devices_.size() < static_cast<size_t>(n)) devices_.resize(static_cast<size_t>(n));
  std::weak_ptr<kernels::Device>& known = devices_[static_cast<size_t>(index)];
  if (auto device = known.lock()) return device;
  auto device = plugin_->make_device(index);
  known = device;
  return device;
}

}  // namespace reattn::device
