// Snapshots of the tiny model with one field wrong, its checksum made right again; and what stands at a path and is no file.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "core/io/checksum.hpp"
#include "tests/support/gguf_builder.hpp"
#include "tests/trust/bad_files.hpp"

namespace reattn::test {
namespace {

constexpr reattn_status F = REATTN_E_FORMAT;
constexpr reattn_status U = REATTN_E_UNSUPPORTED;
constexpr reattn_status M = REATTN_E_MISMATCH;
constexpr size_t kHeaderBytes = 256;

void repair(Bytes& file, size_t begin, size_t end) {
  const uint64_t sum = io::checksum(&file[begin], end - begin);
  std::memcpy(&file[end], &sum, sizeof sum);
}

struct Field {
  const char* name;
  size_t at;
  reattn_status expected;
};
// docs/snapshot-format.md
constexpr Field kWide[] = {{"model", 16, M},      {"tokenizer", 24, M}, {"n_layers", 32, M},
                           {"n_kv_heads", 40, M}, {"head_dim", 48, M},  {"n_vocab", 56, M},
                           {"n_tokens", 120, F}};
constexpr Field kNarrow[] = {
    {"page", 12, M}, {"cache-type", 112, F}, {"scoring", 128, F}, {"int8-cache", 132, F}};

}  // namespace

void add_bad_snapshots(BadFiles& out, const Bytes& good) {
  out.family("snapshot/", BadFile::Use::kSnapshot);
  const auto set = [&](const std::string& name, size_t at, auto value, reattn_status expected) {
    out.add(name, expected, [=] {
      Bytes file = good;
      std::memcpy(&file[at], &value, sizeof value);
      repair(file, 0, kHeaderBytes - 8);
      return file;
    });
  };
  for (const Field& f : kWide) {
    for (const uint64_t v : {uint64_t{0}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 62,
                             uint64_t{1} << 63, ~uint64_t{0}}) {
      set(std::string(f.name) + "-" + std::to_string(v), f.at, v, f.expected);
    }
  }
  for (const Field& f : kNarrow) {
    for (const uint32_t v : {7u, 255u, 1u << 31, ~0u})
      set(std::string(f.name) + "-" + std::to_string(v), f.at, v, f.expected);
  }
  set("cache-type-of-weights", 112, uint32_t{3}, F);
  set("has-no-logits", 116, uint32_t{0}, F);
  set("int8-cache-without-int8-scoring", 132, uint32_t{1}, F);
  for (const uint32_t v : {0u, 2u, 3u, 1u << 24, ~0u}) set("version-" + std::to_string(v), 8, v, U);
  for (const size_t at : {0u, 7u}) {
    out.add("magic-byte-" + std::to_string(at), F, [=] {
      Bytes file = good;
      file[at] ^= std::byte{0x20};
      return file;
    });
  }
  uint64_t n_tokens = 0;
  std::memcpy(&n_tokens, &good[120], sizeof n_tokens);
  const size_t ids_end = kHeaderBytes + 4 * n_tokens;
  for (const int32_t id : {-1, 300, INT32_MAX, INT32_MIN}) {
    for (const bool last : {false, true}) {
      out.add("token-" + std::to_string(id) + (last ? "-last" : "-first"), F, [=] {
        Bytes file = good;
        std::memcpy(&file[last ? ids_end - 4 : kHeaderBytes], &id, sizeof id);
        repair(file, kHeaderBytes, ids_end);
        return file;
      });
    }
  }
  const std::pair<const char*, size_t> parts[] = {{"header", 140},
                                                  {"header-checksum", 250},
                                                  {"ids", kHeaderBytes + 2},
                                                  {"ids-checksum", ids_end + 1},
                                                  {"logprobs", ids_end + 9},
                                                  {"logits", ids_end + 16 + 4 * n_tokens + 3},
                                                  {"page", good.size() - 100},
                                                  {"page-checksum", good.size() - 1}};
  for (const auto& [name, at] : parts) {
    for (const int bit : {0, 7}) {
      out.add(std::string("flipped-") + name + "-bit-" + std::to_string(bit), F, [=, at = at] {
        Bytes file = good;
        file[at] ^= std::byte{1} << bit;
        return file;
      });
    }
    out.add(std::string("cut-in-") + name, F, [=, at = at] {
      return Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(at));
    });
  }
  out.add("empty", F, [] { return Bytes(); });
  out.add("zeros", F, [] { return Bytes(4096); });
  out.add("a-model", F, [] { return GgufBuilder().kv_str("k", std::string(400, 'x')).bytes(); });
  out.add("trailing-byte", F, [=] { return joined(good, Bytes(1)); });
  out.add("trailing-page", F, [=] { return joined(good, Bytes(4096)); });
  out.add("twice", F, [=] { return joined(good, good); });
}

void add_bad_places(BadFiles& out, const std::string& folder) {
  for (const auto& [prefix, use] : {std::pair{"model-at/", BadFile::Use::kModel},
                                    std::pair{"snapshot-at/", BadFile::Use::kSnapshot}}) {
    out.family(prefix, use);
    const auto link_to = [](const std::string& target) {
      return [target](const std::string& path) { std::filesystem::create_symlink(target, path); };
    };
    out.add_made("nothing", REATTN_E_IO, [](const std::string&) {});
    out.add_made("a-folder", REATTN_E_IO,
                 [](const std::string& path) { std::filesystem::create_directory(path); });
    out.add_made("a-fifo", REATTN_E_IO,
                 [](const std::string& path) { ::mkfifo(path.c_str(), 0600); });
    out.add_made("a-socket", REATTN_E_IO, [](const std::string& path) {
      sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
      path.copy(address.sun_path, sizeof address.sun_path - 1);
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      (void)::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
      ::close(fd);
    });
    out.add_made("dev-zero", REATTN_E_IO, link_to("/dev/zero"));
    out.add_made("dev-null", REATTN_E_IO, link_to("/dev/null"));
    out.add_made("a-link-to-nothing", REATTN_E_IO, link_to(folder + "/no-such-file"));
    out.add_made("a-link-to-a-folder", REATTN_E_IO, link_to(folder));
    out.add_made("a-link-to-itself", REATTN_E_IO,
                 [](const std::string& path) { std::filesystem::create_symlink(path, path); });
  }
}

}  // namespace reattn::test
