#include "examples/cli/interrupt.hpp"

#include <csignal>

namespace reattn::cli {
namespace {

volatile std::sig_atomic_t pending = 0;

void on_interrupt(int) {
  if (pending != 0) {
    std::signal(SIGINT, SIG_DFL);
    raise(SIGINT);  // delivered when this handler returns
    return;
  }
  pending = 1;
}

void mask_interrupts(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  pthread_sigmask(how, &set, nullptr);
}

}  // namespace

void watch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() {
  return pending != 0;
}

void clear_interrupt() {
  pending = 0;
}

NoInterruptsForNewThreads::NoInterruptsForNewThreads() {
  mask_interrupts(SIG_BLOCK);
}

NoInterruptsForNewThreads::~NoInterruptsForNewThreads() {
  mask_interrupts(SIG_UNBLOCK);
}

}  // namespace reattn::cli
