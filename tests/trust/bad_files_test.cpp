// Every named bad file gives its documented status, in a process of its own that is measured: memory at most the file's size and
// 64 MiB. bad_files_test [--report] [PREFIX]: with --report every file's name, status, time and memory.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/capi/api.hpp"
#include "tests/trust/bad_files.hpp"

namespace reattn::test {

void BadFiles::add(const std::string& name, reattn_status expected,
                   std::function<Bytes()> content) {
  add_made(name, expected, [content = std::move(content)](const std::string& path) {
    write_file(path, content());
  });
}

namespace {

constexpr unsigned kHangSeconds = 120;  // of a file that takes milliseconds
constexpr uint64_t kSpareMemory = 64 << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kMeasuresMemory = false;  // it is the sanitizer's
#else
constexpr bool kMeasuresMemory = true;
#endif

struct Outcome {
  reattn_status status = 1;  // which no call gives here
  double seconds = 0;
  uint64_t memory = 0;  // most that was in use beyond what was before
  char message[512] = {};
};

// kB of a line of /proc/self/status.
uint64_t kilobytes(const std::string& name) {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    if (word == name) {
      uint64_t n = 0;
      in >> n;
      return n;
    }
  }
  return 0;
}

reattn_status open_as(BadFile::Use use, const std::string& path, const reattn_model* tiny,
                      reattn_error** err) {
  if (use == BadFile::Use::kSnapshot) {
    reattn_cache* cache = nullptr;
    return reattn_cache_open(tiny, bytes(path), path.size(), &cache, err);
  }
  reattn_model_options options;
  reattn_model_options_init(&options, sizeof options, nullptr);
  options.device = REATTN_DEVICE_CPU;
  options.n_threads = 1;
  reattn_model* m = nullptr;
  reattn_status status = reattn_model_open(bytes(path), path.size(), &options, &m, err);
  if (status == REATTN_OK) status = reattn_model_wait(m, -1, nullptr, err);
  if (use == BadFile::Use::kModel || status != REATTN_OK) return status;
  constexpr std::string_view kChat = R"([{"role": "user", "content": "Hello"}])";
  uint64_t needed = 0;
  return reattn_chat_render(m, bytes(kChat), kChat.size(), 1, nullptr, 0, &needed, err);
}

// In a child, so that its memory is its own and its death is seen.
bool measure(const BadFile& file, const std::string& path, const reattn_model* tiny, Outcome* out) {
  int ends[2];
  if (::pipe(ends) != 0) return false;
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kHangSeconds);
    Outcome o;
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins anew
    const uint64_t before = kilobytes("VmRSS:");
    const auto start = std::chrono::steady_clock::now();
    reattn_error* err = nullptr;
    o.status = open_as(file.use, path, tiny, &err);
    o.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const uint64_t peak = kilobytes("VmHWM:");
    o.memory = peak > before ? (peak - before) << 10 : 0;
    if (err) std::strncpy(o.message, reattn_error_message(err), sizeof o.message - 1);
    const bool written = ::write(ends[1], &o, sizeof o) == sizeof o;
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  const bool complete = ::read(ends[0], out, sizeof *out) == sizeof *out;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return complete && status == 0;
}

Bytes good_snapshot(const reattn_model* model, const std::string& path) {
  const Session s = new_session(model);
  append(s.get(), document(60));
  ask(s.get(), 0);
  reattn_cache* cache = nullptr;
  EXPECT_OK(call(reattn_cache_snapshot, s.get(), &cache));
  const Cache owned(cache);
  EXPECT_OK(call(reattn_cache_save, cache, bytes(path), path.size()));
  std::ifstream in(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  return text_bytes(content);
}

// Bytes of a regular file, or of those in a folder.
uint64_t size_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) return std::filesystem::file_size(path);
  uint64_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path, ignored)) {
    if (entry.is_regular_file(ignored)) sum += entry.file_size();
  }
  return sum;
}

int run(bool reports, std::string_view prefix) {
  const TemporaryDirectory dir;
  const Model tiny = open_model(model_path());
  BadFiles all;
  add_bad_gguf(all);
  add_bad_models(all);
  add_bad_folders(all);
  add_bad_safetensors(all);
  add_bad_texts(all);
  add_bad_snapshots(all, good_snapshot(tiny.get(), dir.file("good")));
  add_bad_places(all, dir.path());

  int n_files = 0, n_wrong = 0;
  double slowest = 0;
  uint64_t largest = 0;
  std::string slowest_name, largest_name;
  std::vector<std::string> names;
  for (const BadFile& file : all.files()) {
    if (!file.name.starts_with(prefix)) continue;
    names.push_back(file.name);
    const std::string path = dir.file("bad");
    file.make(path);
    const uint64_t size = size_of(path);
    Outcome o;
    std::string wrong;
    if (!measure(file, path, tiny.get(), &o)) {
      wrong = "the process died or hung";
    } else if (o.status != file.expected) {
      wrong = std::string("expected ") + reattn_status_name(file.expected);
    } else if (*o.message == '\0') {
      wrong = "no message";
    } else if (file.use != BadFile::Use::kTemplate &&
               !std::string_view(o.message).starts_with(path)) {
      wrong = "the message does not name the file";
    } else if (kMeasuresMemory && o.memory > size + kSpareMemory) {
      wrong = "too much memory";
    }
    std::filesystem::remove_all(path);
    ++n_files;
    n_wrong += !wrong.empty();
    if (o.seconds > slowest) slowest = o.seconds, slowest_name = file.name;
    if (o.memory > largest) largest = o.memory, largest_name = file.name;
    if (reports || !wrong.empty()) {
      std::printf("%-48s %-13s %7.1f ms %6.1f MiB  %s%s%s\n", file.name.c_str(),
                  reattn_status_name(o.status), o.seconds * 1e3,
                  static_cast<double>(o.memory) / (1 << 20), wrong.c_str(),
                  wrong.empty() ? "" : ": ", o.message);
    }
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    std::printf("two files are named %s\n", twice->c_str());
    ++n_wrong;
  }
  std::printf(
      "%d bad files, %d not as documented; the slowest %.1f ms (%s), the largest %.1f MiB (%s)\n",
      n_files, n_wrong, slowest * 1e3, slowest_name.c_str(),
      static_cast<double>(largest) / (1 << 20), largest_name.c_str());
  return n_wrong == 0 && n_files > 0 ? 0 : 1;
}

}  // namespace
}  // namespace reattn::test

int main(int argc, char** argv) {
  bool reports = false;
  std::string_view prefix;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--report") {
      reports = true;
    } else {
      prefix = argv[i];
    }
  }
  return reattn::test::run(reports, prefix);
}
