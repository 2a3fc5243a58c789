// libexec/kdpc-<machine>: the command, on the machine this program is linked with.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "tools/kdpc/bench.h"
#include "tools/kdpc/explore.h"
#include "tools/kdpc/run.h"
#include "tools/kdpc/show.h"

namespace {

using kdpc::tool::ExitCode;

void die(int signal) {
  char text[80];
  const int length = std::snprintf(text, sizeof text, "kdpc: simulator bug: signal %d in kdpc's own code\n", signal);
  static_cast<void>(!::write(STDERR_FILENO, text, static_cast<std::size_t>(length)));
  ::_exit(static_cast<int>(ExitCode::SimulatorBug));
}

// What drivers do wrong, the machine handles; what comes here is ours. A sanitizer's handler is left alone.
void own_up_to_faults() {
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = &die;
    action.sa_flags = SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

int main(int argc, char** argv) {
  own_up_to_faults();
  kdpc::tool::Arguments arguments;
  if (const auto ended = kdpc::tool::parse(argc, argv, arguments)) return static_cast<int>(*ended);
  try {
    using Verb = kdpc::tool::Arguments::Verb;
    switch (arguments.verb) {
      case Verb::Run: return static_cast<int>(kdpc::tool::run(arguments.run));
      case Verb::Show: return static_cast<int>(kdpc::tool::show(arguments.show));
      case Verb::Explore: return static_cast<int>(kdpc::tool::explore(arguments.explore));
      case Verb::Replay: return static_cast<int>(kdpc::tool::replay(arguments.replay));
      case Verb::Shrink: return static_cast<int>(kdpc::tool::shrink(arguments.shrink));
      case Verb::Bench: return static_cast<int>(kdpc::tool::bench(arguments.bench));
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kdpc: simulator bug: %s\n", error.what());
    return static_cast<int>(ExitCode::SimulatorBug);
  }
}
