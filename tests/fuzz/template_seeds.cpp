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
      std::string("{{ messages[0].content * 3 }}") + '\0' + R"([{"role":"r","content":"<|im_"}])",
  };
  int n = 0;
  for (const std::string& seed : seeds) {
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(n++), std::ios::binary) << seed;
  }
  return 0;
}
