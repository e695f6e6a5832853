// BPE tokenizers, byte-level and SentencePiece's, as a GGUF file or a Hugging Face folder describes them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct reattn_text_tokenizer;

namespace reattn::text {

// Where SentencePiece's way puts a space in front of text. A run is text between tokens that match
// in raw text.
enum class SpacePrefix : uint8_t {
  kNone,
  kFirst,            // at the text's beginning, unless there is one
  kEach,             // in front of every run
  kEachUnlessSpace,  // in front of every run that does not begin with one
};

// What a file says about its tokenizer, before any of it has been checked. The names are GGUF's.
struct TokenizerSpec {
  enum Strip : uint8_t { kStripLeft = 4, kStripRight = 8 };

  std::string_view key_prefix = "tokenizer.ggml.";  // a literal; of the names in messages

  std::string model;                 // "gpt2" (byte-level BPE), "llama" (SentencePiece's BPE)
  std::string pre;                   // gpt2: "llama-bpe", "qwen2", "smollm", "gpt-2", "default"
  std::vector<std::string> tokens;   // [n_vocab], gpt2: text in the byte-level alphabet
  std::vector<int32_t> token_types;  // [n_vocab]; 1 normal, 2 unknown, 3 control, 4 user-defined,
                                     // 5 unused, 6 byte
  std::vector<uint8_t> strips;      // [n_vocab], Strip flags: the white space beside the token that
                                    // goes with it; empty: none has any
  std::vector<std::string> merges;  // "left right", most frequent first
  std::vector<float> scores;        // llama: [n_vocab], highest merges first; empty: merges decide
  int32_t bos = -1, eos = -1, unk = -1, pad = -1, eot = -1;  // -1: the file names none
  std::vector<int32_t> end_ids;                              // other tokens that end generation
  bool add_bos = false, add_eos = false;
  bool composes = false;                          // gpt2: text becomes NFC first
  bool whole_words_first = false;                 // gpt2: a word that is a token is not merged
  SpacePrefix space_prefix = SpacePrefix::kNone;  // llama
  std::string chat_template;                      // Jinja source; empty: none
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

  // Ids of `utf8`, at most 1 GiB; no BOS or EOS is added. A byte that a byte-level vocabulary has no
  // token for gives none, as in Hugging Face tokenizers. A word (say, a run of one letter) has at
  // most 16 MiB. With parse_special, the text of a special token becomes that token; without, it is
  // text like any other. SentencePiece's user-defined tokens, runs of line ends among them, always
  // match.
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

  // bytes(id), without the space that encode() put in front where the text had none; for showing
  // text as it comes. `previous` is the token before; -1: `id` is a text's first. Of the ids of a text,
  // one after the other, this gives the text back, but for what the tokenizer itself changes: NFC,
  // U+2581 for a space, white space that a token takes with it. Throws kArg as bytes() does.
  std::string_view bytes_after(int32_t previous, int32_t id) const;

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

  // Control tokens, which are no part of what a model says: <|im_start|>, not <think>, which files call
  // user-defined. False for an id out of range.
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
  SpacePrefix space_prefix_;
  std::string chat_template_;
  uint64_t hash_ = 0;
};

}  // namespace reattn::text
