// Writes the first inputs of tokenizer_fuzz to the folder named.
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const char* seeds[] = {
      "pgpt-2\nHello, world! 123\n",
      "psmollm\nt1th\nt1the\nmt h\nmth e\n the theth 12 3\n<|im_end|>\n",
      "t3<|im_end|>x\nt4<tool>\ni258\n <|im_start|><|im_end|>x<tool>\n",
      "t1ab\nt1abab\nma b\nmab ab\nabababab\n",
      " \t \r\n\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80 \xE6\xBC\xA2 it's\n",
      "pllama-bpe\nt1\xC4\xA0whole\n a whole 12345 \r\n\r\n x's I'LL\n",
      "pqwen2\n e\xCC\x81 \xC5\xBF \xE1\x84\x80\xE1\x85\xA1 123\n",
      "s0\nt1a\nt1aa\nt1\xE2\x96\x81\xE2\x96\x81\naaa  a\xE2\x96\x81\xC3\xA9\n",
      "s1\nt1a\nt1\xE2\x96\x81"
      "a\nt3[INST]\n[INST] a a[INST]a\n",
      "s2\nt4\n\nt4<think>\nt3<|user|>\nr\n<s>a<|user|> \n <think></s>\n",
      "s3\nt1a\nt1b\nt1ab\nma b\nt3<mask>\nl\n ab <mask> ab\n",
  };
  int n = 0;
  for (const char* seed : seeds) {
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(n++), std::ios::binary) << seed;
  }
  return 0;
}
