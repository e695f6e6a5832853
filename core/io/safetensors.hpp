// Models as Hugging Face's libraries save them: safetensors files, one or many, in a folder.
//
// A file is eight bytes with the length of a JSON header, the header, and the tensors' bytes. Everything that the header claims is
// checked before it is used or allocated. What a caller gets:
//
//   kIo           the folder has neither model.safetensors nor model.safetensors.index.json; a file cannot be opened or read
//   kFormat       a file is cut short or goes on after the last tensor; the header is no JSON object, names something twice or has a
//                 field of another kind; a shape or a size that overflows; offsets that contradict shape and type, overlap,
//                 leave holes or lie past the end; an index that names a file outside the folder, or contradicts what the files hold
//   kUnsupported  a type other than F32, F16 and BF16; more than the limits below and kMaxJsonBytes for a header or index
//
// Each message names the file, the tensor, what was found and what was allowed.
#pragma once

#include <string>

#include "core/io/tensors.hpp"

namespace reattn::io {

inline constexpr size_t kMaxShards = 512;  // each stays open
inline constexpr size_t kMaxShardTensors = 65'536;
inline constexpr size_t kMaxHfNameBytes = 256;
inline constexpr size_t kMaxRank = 8;

class Safetensors : public Tensors {
 public:
  // model.safetensors of the folder, else the shards that model.safetensors.index.json names.
  static Safetensors open(const std::string& folder);
  // One file.
  static Safetensors parse(File file);

 private:
  explicit Safetensors(std::string path) : Tensors(std::move(path)) {}
  void add(File file);
  void add_shards(const std::string& index_path);
};

}  // namespace reattn::io
