// Byte-level BPE tokenizer built from GGUF metadata.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct reattn_text_tokenizer;

namespace reattn::text {

// What a GGUF file says under tokenizer.ggml.*, before any of it has been checked.
struct TokenizerSpec {
  std::string model;                 // tokenizer.ggml.model: "gpt2"
  std::string pre;                   // tokenizer.ggml.pre: "smollm", "gpt-2", "default"
  std::vector<std::string> tokens;   // [n_vocab], text in the byte-level alphabet
  std::vector<int32_t> token_types;  // [n_vocab]; 1 normal, 3 control, 4 user-defined, ...
  std::vector<std::string> merges;   // "left right", most frequent first
  int32_t bos = -1, eos = -1, unk = -1, pad = -1, eot = -1;  // -1: the file names none
  bool add_bos = false, add_eos = false, add_space_prefix = false;
  std::string chat_template;  // Jinja source; empty: none
};

// Immutable once made: every method may be called from several threads at once.
class Tokenizer {
 public:
  // Throws kFormat where the metadata contradicts itself and kUnsupported where it asks for a
  // tokenizer this build does not have; the message names the GGUF key.
  static std::unique_ptr<Tokenizer> create(const TokenizerSpec& spec);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Ids of `utf8`, at most 1 GiB; no BOS or EOS is added. A byte that the vocabulary has no token
  // for gives none, as in Hugging Face tokenizers. A word (say, a run of one letter) has at most
  // 16 MiB. With parse_special, the text of a control
  // or user-defined token becomes that token; without, it is text like any other.
  // Throws kArg naming the byte offset where the text is not UTF-8.
  std::vector<int32_t> encode(std::string_view utf8, bool parse_special) const;

  // As encode, but special tokens match only where they lie wholly outside the `protected_ranges`:
  // [begin, end) byte offsets, ascending and disjoint.
  struct Range {
    size_t begin, end;
  };
  std::vector<int32_t> encode(std::string_view utf8, std::span<const Range> protected_ranges) const;

  // The exact bytes of one token, which need not be whole UTF-8; valid while the tokenizer lives.
  // Throws kArg unless 0 <= id < n_vocab().
  std::string_view bytes(int32_t id) const;

  // bytes() of each id, one after the other. Throws kArg as bytes() does.
  std::string decode(std::span<const int32_t> ids) const;

  int32_t n_vocab() const { return static_cast<int32_t>(offsets_.size()) - 1; }
  int32_t bos() const { return bos_; }  // -1: none; likewise below
  int32_t eos() const { return eos_; }
  int32_t unk() const { return unk_; }
  int32_t pad() const { return pad_; }
  int32_t eot() const { return eot_; }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }

  // Control and user-defined tokens. False for an id out of range.
  bool is_special(int32_t id) const;

  // Tokens after which a model has said what it had to say: eos, eot, and control tokens with a
  // well-known name such as <|im_end|>. False for an id out of range.
  bool is_end_of_generation(int32_t id) const;

  // Jinja source of the chat template; empty: the model has none.
  const std::string& chat_template() const { return chat_template_; }

  // For the chat templates of this folder.
  const reattn_text_tokenizer* shim() const { return shim_.get(); }

  // Of everything that decides what text and ids mean: equal hashes, equal behaviour.
  uint64_t hash() const { return hash_; }

 private:
  explicit Tokenizer(const TokenizerSpec& spec);

  struct ShimFree {
    void operator()(reattn_text_tokenizer* p) const;
  };

  std::unique_ptr<reattn_text_tokenizer, ShimFree> shim_;
  std::string token_bytes_;        // bytes of all tokens, joined
  std::vector<uint64_t> offsets_;  // [n_vocab + 1] into token_bytes_
  std::vector<uint8_t> flags_;     // [n_vocab]
  int32_t bos_, eos_, unk_, pad_, eot_;
  bool add_bos_, add_eos_;
  std::string chat_template_;
  uint64_t hash_ = 0;
};

}  // namespace reattn::text
