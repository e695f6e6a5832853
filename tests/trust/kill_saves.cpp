// kill_saves [KILLS]: a process saves one snapshot and another over it, again and again, and is killed at any moment; what stands
// under the name must be one of the two, whole. Says how many kills came in the middle of a save.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "kill_saves: %s\n", what);
  std::exit(1);
}

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Cache snapshot_of(const reattn_model* model, size_t n_bytes) {
  const Session s = new_session(model);
  append(s.get(), document(n_bytes));
  ask(s.get(), 0);
  reattn_cache* cache = nullptr;
  if (reattn_cache_snapshot(s.get(), &cache, nullptr) != REATTN_OK) give_up("no snapshot");
  return Cache(cache);
}

void save(const Cache& cache, const std::string& path) {
  if (reattn_cache_save(cache.get(), bytes(path), path.size(), nullptr) != REATTN_OK) {
    give_up("a save failed");
  }
}

// Removes what killed saves left beside the file; whether there was something.
bool sweep(const std::string& folder) {
  bool found = false;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".tmp") found = std::filesystem::remove(entry.path());
  }
  return found;
}

int run(int n_kills) {
  const TemporaryDirectory dir;
  const std::string path = dir.file("saved.reattn");
  const Model model = open_model(model_path());
  const Cache caches[] = {snapshot_of(model.get(), 60), snapshot_of(model.get(), 900)};
  std::string wanted[2];
  for (int i = 0; i < 2; ++i) {
    save(caches[i], path);
    wanted[i] = slurp(path);
  }
  std::mt19937 random(1);
  int n_found[2] = {}, n_in_a_save = 0, n_opened = 0;
  for (int kill_number = 0; kill_number < n_kills; ++kill_number) {
    const pid_t child = ::fork();  // this process has one thread
    if (child < 0) give_up("cannot fork");
    if (child == 0) {
      for (int i = kill_number;; ++i) save(caches[i % 2], path);
    }
    ::usleep(random() % 20'000);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) give_up("the saving process ended by itself");
    n_in_a_save += sweep(dir.path());
    const std::string found = slurp(path);
    if (found != wanted[0] && found != wanted[1])
      give_up("the file is neither the old nor the new one");
    ++n_found[found == wanted[1]];
    if (kill_number % 10 != 0) continue;
    reattn_cache* cache = nullptr;
    if (reattn_cache_open(model.get(), bytes(path), path.size(), &cache, nullptr) != REATTN_OK) {
      give_up("the file does not open");
    }
    reattn_cache_free(cache);
    ++n_opened;
  }
  std::printf(
      "%d kills, %d in the middle of a save; the file was whole each time: %d times the one, "
      "%d times the other; %d were opened\n",
      n_kills, n_in_a_save, n_found[0], n_found[1], n_opened);
  // With enough kills, some must have hit.
  return n_kills >= 50 && (n_in_a_save == 0 || n_found[0] == 0 || n_found[1] == 0) ? 1 : 0;
}

}  // namespace
}  // namespace reattn::test

int main(int argc, char** argv) {
  const int n_kills = argc > 1 ? std::atoi(argv[1]) : 1000;
  if (n_kills < 1) reattn::test::give_up("usage: kill_saves [KILLS]");
  return reattn::test::run(n_kills);
}
