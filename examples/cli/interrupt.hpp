// Ctrl-C: the first asks the running work to stop, a second before it has stopped ends the program.
#pragma once

namespace reattn::cli {

// Thrown where the work was stopped and the program should end; its exit status is 130.
struct Interrupted {};

// Handles SIGINT from here on.
void watch_interrupts();

// A Ctrl-C came and was not yet answered.
bool interrupted();

// It was answered: the next one is a first one again.
void clear_interrupt();

// Keeps SIGINT away from threads that are started during its life; they would see their system
// calls interrupted.
class NoInterruptsForNewThreads {
 public:
  NoInterruptsForNewThreads();
  ~NoInterruptsForNewThreads();
  NoInterruptsForNewThreads(const NoInterruptsForNewThreads&) = delete;
  NoInterruptsForNewThreads& operator=(const NoInterruptsForNewThreads&) = delete;
};

}  // namespace reattn::cli
