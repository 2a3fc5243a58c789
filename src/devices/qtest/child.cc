#include "devices/qtest/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

namespace kdpc::qtest {
namespace {

Error host_error(const char* what) { return Error{fmt::format("starting QEMU: {} failed: {}", what, std::strerror(errno))}; }

// The child between fork and exec. The process may have other threads, so only async-signal-safe calls are allowed here, and no allocation.
[[noreturn]] void become(const char* program, char* const* arguments, pid_t parent, int memory, int socket, int diagnostics) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);  // died before the line above
  ::setpgid(0, 0);                          // a Ctrl-C is for us: we end it when we are done

  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);

  // Out of the way first: one of the three may sit at a number that another is to get.
  constexpr int kOutOfTheWay = 10;
  memory = ::fcntl(memory, F_DUPFD, kOutOfTheWay);
  socket = ::fcntl(socket, F_DUPFD, kOutOfTheWay);
  diagnostics = ::fcntl(diagnostics, F_DUPFD, kOutOfTheWay);
  const int nothing = ::open("/dev/null", O_RDONLY);
  const bool placed = ::dup2(nothing, 0) >= 0 && ::dup2(diagnostics, 1) >= 0 && ::dup2(diagnostics, 2) >= 0 &&
                      ::dup2(memory, kMemoryDescriptor) >= 0 && ::dup2(socket, kSocketDescriptor) >= 0;
  ::close_range(kSocketDescriptor + 1, ~0U, 0);
  if (placed) ::execv(program, arguments);
  const char* const why = ::strerrordesc_np(errno);
  static_cast<void>(!::write(2, why, std::strlen(why)));
  ::_exit(127);
}

// A model that stops QEMU has it print the registers of a processor that never ran: "EAX=00000000 EBX=…", "ES =0000 …", "CPU #0:".
bool is_processor_state(std::string_view line) {
  constexpr std::size_t kLongestRegister = 5;  // XMM00
  return line.starts_with("CPU #") || line.find('=') <= kLongestRegister;
}

}  // namespace

Result<SharedMemory> SharedMemory::create(std::size_t size) {
  SharedMemory memory;
  memory.file_ = Descriptor(::memfd_create("kdpc guest memory", MFD_CLOEXEC));
  if (!memory.file_.valid()) return host_error("memfd_create");
  if (::ftruncate(memory.file_.get(), static_cast<off_t>(size)) != 0) return host_error("ftruncate");
  void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.file_.get(), 0);
  if (mapped == MAP_FAILED) return host_error("mmap");
  memory.data_ = static_cast<std::byte*>(mapped);
  memory.size_ = size;
  return memory;
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept { *this = std::move(other); }

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void OneProcessor::enter() {
  const int here = ::sched_getcpu();
  if (thread_ != 0 || here < 0 || here >= CPU_SETSIZE || ::sched_getaffinity(0, sizeof before_, &before_) != 0 || CPU_COUNT(&before_) < 2) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<unsigned>(here), &only);
  if (::sched_setaffinity(0, sizeof only, &only) == 0) thread_ = ::gettid();
}

void OneProcessor::leave() {
  if (thread_ != 0) ::sched_setaffinity(thread_, sizeof before_, &before_);
  thread_ = 0;
}

Result<Child> Child::start(const std::string& program, const std::vector<std::string>& arguments, const SharedMemory& memory, Descriptor& socket) {
  struct stat found {};
  if (::stat(program.c_str(), &found) != 0 || !S_ISREG(found.st_mode) || ::access(program.c_str(), X_OK) != 0) {
    return Error{
        fmt::format("QEMU is needed for this device, but there is no program {}: install the Debian package qemu-system-xen "
                    "(the package qemu-system-x86 will not do, it lacks the qtest accelerator)",
                    program)};
  }

  Child child;
  child.diagnostics_ = Descriptor(::memfd_create("qemu diagnostics", MFD_CLOEXEC));
  if (!child.diagnostics_.valid()) return host_error("memfd_create");
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return host_error("socketpair");
  socket = Descriptor(ends[0]);
  const Descriptor its_end(ends[1]);

  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return host_error("fork");
  if (pid == 0) become(program.c_str(), argv.data(), parent, memory.file().get(), its_end.get(), child.diagnostics_.get());
  child.pid_ = pid;
  child.process_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // glibc 2.36 declares it without C linkage
  if (!child.process_.valid()) {
    const Error error = host_error("pidfd_open");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    child.pid_ = 0;
    return error;
  }
  return child;
}

Child::Child(Child&& other) noexcept { *this = std::move(other); }

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  std::swap(process_, other.process_);
  std::swap(diagnostics_, other.diagnostics_);
  return *this;
}

bool Child::wait(std::chrono::milliseconds limit) {
  if (pid_ == 0) return true;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const pid_t reaped = ::waitpid(pid_, &status_, WNOHANG);
    if (reaped == pid_ || (reaped < 0 && errno == ECHILD)) {
      pid_ = 0;
      return true;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd process{process_.get(), POLLIN, 0};
    ::poll(&process, 1, static_cast<int>(left.count()));
  }
}

void Child::end() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGTERM);
  // It ends in milliseconds, but on a loaded machine it may first have to write much audio.
  if (!wait(std::chrono::seconds(5))) kill();
}

void Child::kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  while (!wait(std::chrono::seconds(1))) {
  }
}

std::string Child::how() const {
  if (pid_ != 0) return "still running";
  if (status_ == -1) return "never started, or reaped by somebody else";
  if (WIFSIGNALED(status_)) {
    const char* const name = ::sigdescr_np(WTERMSIG(status_));
    return fmt::format("killed by signal {} ({})", WTERMSIG(status_), name != nullptr ? name : "unknown");
  }
  return fmt::format("exit status {}", WEXITSTATUS(status_));
}

bool Child::ended_well() const { return pid_ == 0 && status_ == 0; }

std::string Child::last_words() const {
  constexpr std::size_t kMostBytes = 16384;
  constexpr std::size_t kMostLines = 8;
  struct stat written {};
  if (!diagnostics_.valid() || ::fstat(diagnostics_.get(), &written) != 0) return {};
  const off_t begin = std::max<off_t>(0, written.st_size - static_cast<off_t>(kMostBytes));
  std::string text(static_cast<std::size_t>(written.st_size - begin), '\0');
  const ssize_t got = ::pread(diagnostics_.get(), text.data(), text.size(), begin);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);

  std::vector<std::string_view> lines;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!line.empty() && !is_processor_state(line)) lines.push_back(line);
  }
  std::string words;
  for (std::size_t i = lines.size() - std::min(lines.size(), kMostLines); i < lines.size(); ++i) {
    words += words.empty() ? "" : "\n";
    words += lines[i];
  }
  return words;
}

}  // namespace kdpc::qtest
