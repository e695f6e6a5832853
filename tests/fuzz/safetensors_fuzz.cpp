// Fuzzes the files of a model's folder: any bytes are refused with an Error or can be read whole. The first byte tells which file the
// others are: 'C' config.json, 'I' the index of two shards that are there, anything else a safetensors file.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "core/io/json.hpp"
#include "core/io/safetensors.hpp"
#include "core/model/config.hpp"
#include "reattn/kernels/error.hpp"

using reattn::io::Json;
using reattn::io::Safetensors;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Two folders of which one file each is in memory and rewritten for each input.
class Folders {
 public:
  Folders() {
    std::filesystem::create_directory(whole());
    std::filesystem::create_directory(sharded());
    const std::string in_memory = "/proc/self/fd/" + std::to_string(fd_);
    std::filesystem::create_symlink(in_memory, whole() + "/model.safetensors");
    std::filesystem::create_symlink(in_memory, sharded() + "/model.safetensors.index.json");
    for (const std::string name : {"a", "b"}) {
      const std::string header =
          "{\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
      const uint64_t n = header.size();
      std::ofstream out(sharded() + "/" + name + ".safetensors", std::ios::binary);
      out.write(reinterpret_cast<const char*>(&n), sizeof n) << header << "data";
      require(out.good());
    }
  }
  ~Folders() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  std::string whole() const { return root_ + "/whole"; }
  std::string sharded() const { return root_ + "/sharded"; }
  void rewrite(const uint8_t* data, size_t size) const {
    require(::ftruncate(fd_, 0) == 0);
    require(::pwrite(fd_, data, size, 0) == static_cast<ssize_t>(size));
  }

 private:
  static std::string make() {
    std::string path = (std::filesystem::temp_directory_path() / "reattn-fuzz-XXXXXX").string();
    require(::mkdtemp(path.data()) != nullptr);
    return path;
  }
  std::string root_ = make();
  int fd_ = ::memfd_create("safetensors", MFD_CLOEXEC);
};

void use_tensors(const Safetensors& model) {
  std::vector<std::byte> data;
  for (const auto& t : model.tensors()) {
    require(model.find_tensor(t.name) == &t);
    uint64_t n_bytes = static_cast<uint64_t>(reattn::kernels::dtype_info(t.dtype).block_bytes);
    for (const int64_t n : t.shape) n_bytes *= static_cast<uint64_t>(n);
    require(n_bytes == t.n_bytes);
    data.resize(t.n_bytes);
    model.read_tensor(t, data);
  }
}

void use_config(std::string_view text) {
  const Json json = reattn::io::parse_json(text, "config.json");
  require(json.text(64).size() <= 256);
  const auto c =
      reattn::model::config_from_folder("folder", reattn::io::JsonObject(json, "config.json"));
  reattn::model::check_shape(c);
  require(c.hf != nullptr && c.n_sliding >= 0);
  require(std::isfinite(c.softmax_scale) && std::isfinite(c.embedding_scale));
  require(c.rope_factors.empty() || c.rope_factors.size() == static_cast<size_t>(c.head_dim / 2));
  for (const float f : c.rope_factors) require(f >= 1 && f <= 1e6F);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const Folders folders;
  const char kind = static_cast<char>(*data);
  try {
    if (kind == 'C') {
      use_config({reinterpret_cast<const char*>(data) + 1, size - 1});
    } else {
      folders.rewrite(data + 1, size - 1);
      use_tensors(Safetensors::open(kind == 'I' ? folders.sharded() : folders.whole()));
    }
  } catch (const reattn::Error& e) {
    require(e.code() == reattn::ErrorCode::kFormat || e.code() == reattn::ErrorCode::kUnsupported ||
            e.code() == reattn::ErrorCode::kIo);
    require(e.code() != reattn::ErrorCode::kIo || kind == 'I');  // a shard that is not there
  }
  return 0;
}

// In a safetensors file the length must fit the header, or nothing behind it is ever looked at.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  std::minstd_rand random(seed);
  if (size < 10 || data[0] == 'C' || data[0] == 'I' || random() % 8 == 0) return size;
  const auto* const end = static_cast<const uint8_t*>(::memrchr(data + 9, '}', size - 9));
  if (end != nullptr) {
    const uint64_t n = static_cast<uint64_t>(end + 1 - (data + 9));
    std::memcpy(data + 1, &n, sizeof n);
  }
  return size;
}
