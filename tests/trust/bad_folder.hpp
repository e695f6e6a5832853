// A good folder with something in it exchanged.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "tests/support/safetensors_builder.hpp"
#include "tests/trust/bad_files.hpp"

namespace reattn::test::bad_folder {

constexpr reattn_status F = REATTN_E_FORMAT;
constexpr reattn_status U = REATTN_E_UNSUPPORTED;
constexpr reattn_status IO = REATTN_E_IO;

constexpr const char* kConfig = "config.json";
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

using Files = std::map<std::string, Bytes>;

// The good folder with some files in place of its own or beside them.
inline void add(BadFiles& out, const std::string& name, reattn_status expected,
                std::function<Files()> changed) {
  out.add_made(name, expected, [changed = std::move(changed)](const std::string& path) {
    Files files = TinyFolder().files();
    for (auto& [file, content] : changed()) files[file] = content;
    write_files(path, files);
  });
}

inline std::string times(const std::string& s, size_t n) {
  std::string all;
  for (size_t i = 0; i < n; ++i) all += s;
  return all;
}

}  // namespace reattn::test::bad_folder
