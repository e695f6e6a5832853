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
  };
  int n = 0;
  for (const char* seed : seeds) {
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(n++), std::ios::binary) << seed;
  }
  return 0;
}
