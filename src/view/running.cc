#include <fmt/format.h>
#include <ucontext.h>

#include <cstddef>

#include "base/fixed_places.h"
#include "view/locks.h"
#include "view/views.h"

namespace kdpc::view {

namespace {

constexpr unsigned kBuiltInLocks = 16;
constexpr unsigned kMostFrames = 64;

// Where the World is; its stacks lie above one another so that callers are always higher.
constexpr std::uintptr_t kWorldBegin = kWorldBase, kWorldEnd = kDriversBegin;

bool runs_now(const World& world, unsigned number) {
  const WorldHeader& header = world.header();
  if (header.attention.first != 0) return (world.machine_keeps(header.attention, number) & header.suspended) == 0;
  bool inside = false;
  std::uintptr_t current = 0;
  return header.inside != 0 && world.memory().read(header.inside, &inside, 1) && inside &&
         world.memory().read(header.current, &current, sizeof current) &&
         current == header.itself.first + std::uintptr_t{number} * header.itself.stride;
}

// A handler's caller is nobody: what it has interrupted is in the frame that the host's kernel has laid there. Rip and rbp.
bool read_interrupted(const World& world, std::uintptr_t frame, std::uintptr_t& instruction, std::uintptr_t& frame_beneath) {
  constexpr std::size_t kContext = 2 * sizeof(std::uintptr_t);
  const auto registers = world.read<gregset_t>(frame + kContext + offsetof(ucontext_t, uc_mcontext.gregs));
  if (!registers) return false;
  instruction = static_cast<std::uintptr_t>((*registers)[REG_RIP]);
  frame_beneath = static_cast<std::uintptr_t>((*registers)[REG_RBP]);
  return true;
}

std::string stack_of(const World& world, unsigned number) {
  if (world.header().frame.first == 0) return "     (this machine does not say where a suspended processor's stack is)\n";
  if (runs_now(world, number)) return "     (it runs right now: a debugger's own backtrace shows its stack)\n";
  std::string text = "     RetAddr           Call Site\n";
  std::uintptr_t frame = world.machine_keeps(world.header().frame, number);
  for (unsigned count = 0; count < kMostFrames && frame >= kWorldBegin && frame < kWorldEnd && frame % sizeof frame == 0; ++count) {
    std::uintptr_t link[2];
    if (!world.memory().read(frame, link, sizeof link)) return text + fmt::format("     Failed to read the frame at 0x{:016x}\n", frame);
    if (link[1] == 0) break;
    const bool is_handler = link[1] == world.header().signal_return;
    if (is_handler && !read_interrupted(world, frame, link[1], link[0])) return text + "     Failed to read what a signal has interrupted\n";
    text += fmt::format("     {:016x}  {}\n", link[1], world.name(link[1], is_handler ? Symbols::Meaning::Exact : Symbols::Meaning::ReturnAddress));
    if (link[0] <= frame) break;
    frame = link[0];
  }
  return text;
}

std::string built_in_locks(const std::vector<LockRow>& locks, unsigned number) {
  std::string letters(kBuiltInLocks, '.');
  for (const LockRow& lock : locks) {
    if (lock.number < 0 || lock.marks[number].empty()) continue;
    char& letter = letters[static_cast<unsigned>(lock.number)];
    if (letter != 'O') letter = lock.marks[number] == "O" ? 'O' : 'W';
  }
  return letters;
}

}  // namespace

std::string running(const World& world, const Request& request) {
  const std::vector<LockRow> locks = read_locks(world);
  const std::uint64_t idle = world.system().idle_processors.mask();
  std::string text =
      fmt::format("System Processors {:x} (affinity mask)\n  Idle Processors {:x}\n\n", ProcessorSet::first(world.processors()).mask(), idle);
  std::string rows;
  for (unsigned number = 0; number < world.processors(); ++number) {
    const auto processor = world.processor(number);
    if (processor && !request.idle && processor->current_thread == processor->idle_thread && processor->next_thread == nullptr) continue;
    const auto thread = world.read<Thread>(processor->current_thread);
    const std::string name =
        thread ? fmt::format("thread {} {}", thread->id, std::string_view(thread->name, ::strnlen(thread->name, sizeof thread->name)))
               : "thread that cannot be read";
    rows += fmt::format("{:>3}  {:016x}  {:016x}  {:016x}  {}  {}{}\n", number, processor.address(), at(processor->current_thread),
                        at(processor->next_thread), built_in_locks(locks, number), name,
                        processor->active_dpc != nullptr ? fmt::format(", DPC {:016x}", at(processor->active_dpc)) : "");
    if (request.stacks) rows += '\n' + stack_of(world, number) + '\n';
  }
  if (rows.empty()) return text + "All processors idle.\n";
  return text + "     Prcb              Current           Next\n" + rows;
}

}  // namespace kdpc::view
