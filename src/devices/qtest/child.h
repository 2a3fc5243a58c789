// A Child is the QEMU process: its command line, the guest memory it shares with us, its end, and its last words.
//
//   Q.CP-1  It never outlives us: the destructor ends it, and the operating system does when the thread that started it dies.
//   Q.CP-2  It inherits two descriptors, at fixed numbers, and nothing else; so its command line is the same in every run.
//   Q.CP-3  Ending it is polite first (SIGTERM: the audio back end completes its files), then not.
#pragma once
#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/qtest/channel.h"

namespace kdpc::qtest {

// What stands on the command line for the two descriptors of Q.CP-2.
inline constexpr int kMemoryDescriptor = 3;
inline constexpr int kSocketDescriptor = 4;

// Memory of ours that another process can map as well.
class SharedMemory {
 public:
  static Result<SharedMemory> create(std::size_t size);
  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  const Descriptor& file() const { return file_; }

 private:
  Descriptor file_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// While it lives, the thread that made it runs on one processor of the host only, and so do the children it starts.
// Two processes that take turns hand over on one processor three times faster than across two: nobody has to be woken from idling elsewhere.
class OneProcessor {
 public:
  OneProcessor() = default;
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;
  ~OneProcessor() { leave(); }
  void enter();  // keeps the calling thread where it is now; a thread that has only one processor is left alone
  void leave();  // from any thread

 private:
  pid_t thread_ = 0;  // 0: not entered
  cpu_set_t before_{};
};

class Child {
 public:
  // `arguments` without the program's own name. On success `socket` is our end of the qtest connection.
  static Result<Child> start(const std::string& program, const std::vector<std::string>& arguments, const SharedMemory& memory, Descriptor& socket);
  Child() = default;
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child() { end(); }

  pid_t pid() const { return pid_; }           // 0: never started, or ended and reaped
  bool wait(std::chrono::milliseconds limit);  // true: it has ended, and how() says how
  void end();                                  // Q.CP-3; returns when it is gone
  void kill();                                 // for one that no longer answers; returns when it is gone

  std::string how() const;         // "killed by signal 9 (Killed)", "exit status 1", "still running"
  bool ended_well() const;         // exit status 0
  std::string last_words() const;  // the end of what it wrote to stderr, a few lines at most; may be empty

 private:
  pid_t pid_ = 0;
  int status_ = -1;         // as from waitpid; -1: not ended
  Descriptor process_;      // pidfd
  Descriptor diagnostics_;  // memfd: its stdout and stderr. A pipe would stop QEMU once full.
};

}  // namespace kdpc::qtest
