// Writes the first inputs of hf_fuzz to the folder named.
#include <fstream>
#include <string>

namespace {

// A file whose model is BPE over `vocab`, with `members` beside it.
std::string tokenizer(const std::string& members, const std::string& model,
                      const std::string& vocab, const std::string& merges) {
  return R"({"added_tokens":[{"id":3,"content":"<s>","special":true,"rstrip":true},)"
         R"({"id":4,"content":"<t>","special":false}],)" +
         members + R"(,"model":{"type":"BPE",)" + model + R"("vocab":{)" + vocab +
         R"(},"merges":[)" + merges + "]}}";
}

std::string bytes() {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (size_t b = 0; b < 256; ++b) {
    out +=
        std::string(",\"<0x") + kDigits[b >> 4] + kDigits[b & 15] + ">\":" + std::to_string(5 + b);
  }
  return out;
}

// A message, or text, in a field of a protocol buffer.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

std::string piece(const std::string& text, char type) {
  return field(1, field(1, text) + std::string("\x15\0\0\x80\xBF\x18", 6) + type);
}

// tokenizer.model: BPE, with the space prefix wanted.
std::string model(char adds_prefix) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out = piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3);
  for (size_t b = 0; b < 256; ++b) {
    out += piece(std::string("<0x") + kDigits[b >> 4] + kDigits[b & 15] + ">", 6);
  }
  for (const char* word : {"\xE2\x96\x81", "a", "b", "ab"}) out += piece(word, 1);
  return out + field(2, std::string("\x18\x02")) +
         field(3, std::string("\x18") + adds_prefix + std::string("\x20\0", 2));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string words = R"("a":0,"b":1,"ab":2)";
  const std::string level = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":)";
  const std::string pattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|)"
      R"( ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+)";
  const std::string config =
      std::string(1, '\0') +
      R"({"bos_token":"<s>","eos_token":{"content":"<t>"},"add_eos_token":true,)" +
      R"("chat_template":[{"name":"default","template":"{{ messages }}"}]})" +
      std::string(1, '\0') + R"({"bos_token_id":3,"eos_token_id":[3,4]})";
  const std::string replace = R"({"type":"Replace","pattern":{"String":" "},"content":"\u2581"})";
  const std::string falls_back = R"("byte_fallback":true,"unk_token":"<unk>",)";
  const std::string seeds[] = {
      tokenizer(R"("pre_tokenizer":)" + level + "true}", "", words, R"("a b")") + config,
      tokenizer(
          R"("normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[)"
          R"({"type":"Split","pattern":{"Regex":")" +
              pattern + R"("},"behavior":"Isolated"},)" + level + "false}]}",
          R"("ignore_merges":true,)", words, R"(["a","b"])"),
      tokenizer(
          R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\u2581"},)" +
              replace + "]}",
          falls_back, words + bytes(), R"(["a","b"])") +
          config,
      tokenizer(
          R"("pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"first",)"
          R"("split":false})",
          falls_back, words + bytes(), R"("a b")"),
      tokenizer(
          R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},)"
          R"({"Sequence":{"id":"A"}}]},"normalizer":)" +
              replace,
          falls_back, words + bytes(), "") +
          config,
  };
  int n = 0;
  for (const std::string& seed : seeds) {
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(n++), std::ios::binary) << seed;
  }
  return 0;
}
