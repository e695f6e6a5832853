#include "tests/cli/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "tests/support/gguf_builder.hpp"

extern char** environ;

namespace reattn::test {
namespace {

struct Pipe {
  int read_end, write_end;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    read_end = ends[0];
    write_end = ends[1];
  }
};

// Appends what is there; false at the end.
bool take(int fd, std::string& to) {
  std::array<char, 4096> block;
  const ssize_t n = read(fd, block.data(), block.size());
  if (n > 0) to.append(block.data(), n);
  return n > 0;
}

}  // namespace

Outcome reattn_command(const std::vector<std::string>& args, const std::string& input,
                       int interrupt_after_ms) {
  const TemporaryDirectory directory;
  const std::string input_path = directory.file("input");
  write_file(input_path, std::as_bytes(std::span(input)));
  Pipe out, err;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, input_path.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write_end, 2);
  std::vector<std::string> words = {REATTN_COMMAND};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, REATTN_COMMAND, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out.write_end);
  close(err.write_end);
  if (failed != 0) throw std::runtime_error("the command cannot be started");

  Outcome outcome{};
  std::array<pollfd, 2> fds = {{{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}}};
  for (int n_open = 2; n_open > 0;) {
    poll(fds.data(), fds.size(), -1);
    for (pollfd& fd : fds) {
      if (fd.fd < 0 || fd.revents == 0) continue;
      if (!take(fd.fd, fd.fd == out.read_end ? outcome.out : outcome.err)) {
        fd.fd = -1;
        --n_open;
      }
    }
    if (interrupt_after_ms > 0 && outcome.err.find('\n') != std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(interrupt_after_ms));
      kill(pid, SIGINT);
      interrupt_after_ms = 0;
    }
  }
  close(out.read_end);
  close(err.read_end);
  int status = 0;
  waitpid(pid, &status, 0);
  outcome.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return outcome;
}

}  // namespace reattn::test
