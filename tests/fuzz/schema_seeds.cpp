// Writes the first inputs of schema_fuzz to the folder named.
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string seeds[] = {
      R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer","minimum":1,"maximum":12}},)"
      R"("required":["a"],"additionalProperties":false})",
      R"({"type":"array","items":{"enum":["x",1,null,true]},"minItems":1,"maxItems":3})",
      R"({"anyOf":[{"const":"yes"},{"type":"number","multipleOf":0.5,"exclusiveMaximum":3}]})",
      R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"k":{"type":"array","items":{"$ref":"#/$defs/t"}}}}}})",
      R"({"type":"string","pattern":"^[a-c]{2,5}(x|y)+$","maxLength":9})",
      R"({"type":"string","format":"date-time"})",
      R"({"allOf":[{"properties":{"a":{"type":"integer"}}},{"patternProperties":{"^b":{"type":"null"}}}],"minProperties":1})",
      R"({"prefixItems":[{"type":"boolean"},{}],"items":false})",
      R"({"x-guidance":{"whitespace_flexible":false},"type":["string","null"],"minLength":2})",
      std::string("{}") + '\0' + "\x10\x80\x20\x30\x41\x07\xFF",
      "true",
  };
  int n = 0;
  for (const std::string& seed : seeds) {
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(n++), std::ios::binary) << seed;
  }
  return 0;
}
