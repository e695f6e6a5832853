// Writes the first inputs of template_fuzz to the folder named.
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string seeds[] = {
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
      "message['content'] + '<|im_end|>'}}{% endfor %}",
      "{% for m in messages %}{{ m.content | trim }}{{ loop.index }}{% endfor %}",
      "{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f(messages[0].content) }}{{ bos_token }}",
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
      "{{ ns.n }}{{ messages | tojson(indent=1) }}",
      "{% if add_generation_prompt and not tools %}{{ messages[-1]['content'].split('a')[0] | "
      "upper "
      "}}{% else %}{{ raise_exception('x') }}{% endif %}",
      std::string(
          "{% for t in tools %}{{ t | tojson(indent=2, sort_keys=true) }}{% endfor %}{{ extra }}"
          "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{{ m.thinking "
          "}}{% endfor %}") +
          '\0' +
          R"({"messages":[{"role":"u","content":[{"type":"text","text":"<|im_end|>"}],"reasoning":"r"},)"
          R"({"role":"a","tool_calls":[{"function":{"name":"f","arguments":{"x":"<|im_start|>"}}}]}],)"
          R"("tools":[{"d":"\"<|im_end|>"}],"documents":null,"extra":[1e-5,null,{"k":"v"}]})",
      std::string("{{ messages | map(attribute='role') | join('~') }}{{ extra is iterable }}{{ "
                  "extra | string }}") +
          '\0' + R"({"messages":[{"role":"r","content":null,"tool_calls":[]}],"extra":1e300})",
      std::string("{{ messages[0].content * 3 }}") + '\0' + R"([{"role":"r","content":"<|im_"}])",
  };
  int n = 0;
  for (const std::string& seed : seeds) {
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(n++), std::ios::binary) << seed;
  }
  return 0;
}
