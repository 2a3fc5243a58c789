// A checkpoint is the whole run: going back to it, in the middle of whatever was under way, leads through the same future again.
#include "tests/machine/inside.h"

#include "kdpc/device.h"
#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "machine/sim/checkpoint.h"
#include "machine/sim/state.h"

namespace kdpc {

using namespace inside;

namespace {

constexpr std::uint8_t kVector = 0x51;

// Threads, a DPC and an ISR that stop in the middle of calls, with state on every stack. Pool memory, as it has to be in the World.
struct Scene {
  SpinLock lock;
  Dpc dpc;
  Interrupt* interrupt;
  EventObject event;
  std::uint64_t shared;
  std::uint64_t interrupts;
  std::uint64_t dpcs;
};
Scene* scene;

std::uint64_t mix(std::uint64_t value) { return (value ^ value >> 29) * 0x9e3779b97f4a7c15; }

[[gnu::noinline]] std::uint64_t descend(unsigned depth, std::uint64_t value) {
  volatile std::uint64_t kept[8];
  for (unsigned index = 0; index < 8; ++index) kept[index] = mix(value + index);
  if (depth != 0) kept[depth % 8] = kept[depth % 8] + descend(depth - 1, kept[3]);
  if (depth % 3 == 0) Machine::stall(700);
  std::uint64_t sum = 0;
  for (unsigned index = 0; index < 8; ++index) sum += kept[index];
  return sum;
}

void KDPC_NTAPI dpc_routine(Dpc*, void*, void*, void*) {
  ++scene->dpcs;
  scene->shared = mix(scene->shared + descend(5, scene->shared));
  wait::set_event(scene->event, 1);
}

unsigned char KDPC_NTAPI service(Interrupt*, void*) {
  ++scene->interrupts;
  scene->shared = mix(scene->shared + descend(4, 1));
  dpc::insert(&scene->dpc, nullptr, nullptr);
  return 1;
}

void work(unsigned number) {
  for (std::uint64_t turn = 0;; ++turn) {
    void* block = sys().pool.allocate(64 + turn % 512, pool_tag("Test"));
    {
      Locked<Irql::Dispatch> locked(scene->lock);
      scene->shared = mix(scene->shared + descend(turn % 7, number));
      Machine::window();
    }
    if (turn % 5 == number) host::raise_message(kVector, number % 2);
    if (turn % 11 == 0) {
      const std::int64_t limit = -20'000;
      wait::for_object(scene->event.header, &limit);
    }
    Machine::stall(900);
    sys().pool.free(block);
  }
}

void set_up() {
  EXPECT_EQ(on(0, Irql::Passive,
               [] {
                 scene = static_cast<Scene*>(sys().pool.allocate(sizeof(Scene), pool_tag("Test")));
                 std::fill_n(reinterpret_cast<std::byte*>(scene), sizeof(Scene), std::byte{});
                 dpc::initialize(scene->dpc, dpc_routine, nullptr);
                 wait::initialize_event(scene->event, ObjectType::SynchronizationEvent, false);
                 InterruptSpec spec;
                 spec.routine = service;
                 spec.vector = kVector;
                 spec.irql = spec.synchronize_irql = Irql(5);
                 spec.trigger = Trigger::Latched;
                 spec.processors = active_processors();
                 interrupt::connect(spec, scene->interrupt);
               })
                .how,
            host::Ended::ConditionMet);
  for (unsigned number = 0; number < 3; ++number) start(number % 2, Irql::Passive, [number] { work(number); });
}

}  // namespace

TEST(SimCheckpoint, TwoThousandReturnsIntoTheMiddleOfCallsAreClean) {
  World world({.processors = 2});
  Log log;
  set_up();
  host::run_until({}, kMillisecond);
  log.lines.clear();
  for (int cycle = 0; cycle < 2000; ++cycle) {
    const std::uint64_t length = 1'000 + static_cast<std::uint64_t>(cycle) % 97 * 113;
    auto checkpoint = host::checkpoint();
    ASSERT_TRUE(checkpoint.ok());
    const std::uint64_t hash = sim::checkpoint::hash_of_world();
    const std::size_t mark = log.lines.size();
    host::run_until({}, length);
    const std::uint64_t once = sim::checkpoint::hash_of_world();
    const std::vector<std::string> first(log.lines.begin() + static_cast<std::ptrdiff_t>(mark), log.lines.end());
    host::restore(**checkpoint);
    ASSERT_EQ(log.lines.size(), mark);
    ASSERT_EQ(sim::checkpoint::hash_of_world(), hash) << cycle;
    host::run_until({}, length);
    ASSERT_EQ(sim::checkpoint::hash_of_world(), once) << cycle;
    const std::vector<std::string> second(log.lines.begin() + static_cast<std::ptrdiff_t>(mark), log.lines.end());
    ASSERT_EQ(first, second) << cycle;
    host::discard(*checkpoint);
    log.lines.clear();
  }
  EXPECT_GT(scene->interrupts, 100u);
  EXPECT_GT(scene->dpcs, 100u);
}

TEST(SimCheckpoint, ARunThatHasEndedCanBeTakenBack) {
  World world;
  bool armed = false;
  start(0, Irql::Passive, [&] {
    for (;;) {
      Machine::stall(kMillisecond);
      if (armed) bug_check(0xE2, {}, "asked for", "test");
    }
  });
  host::run_until({}, 10 * kMillisecond);
  auto checkpoint = host::checkpoint();
  ASSERT_TRUE(checkpoint.ok());
  armed = true;
  EXPECT_EQ(host::run_until({}, 10 * kMillisecond).how, host::Ended::Bugcheck);
  EXPECT_FALSE(host::checkpoint().ok());
  armed = false;
  host::restore(**checkpoint);
  EXPECT_EQ(host::run_until({}, 10 * kMillisecond).how, host::Ended::TimeLimit);
  EXPECT_GT(host::size_of(**checkpoint), 1000u);
  host::discard(*checkpoint);
}

TEST(SimCheckpoint, SpansOfDriversAndStateOfBoardsAreCopied) {
  struct Counter : Board {
    std::uint64_t count = 5;
    void attach(BoardHost&) override {}
    std::span<Device* const> devices() override { return {}; }
    unsigned lines() const override { return 0; }
    Nanoseconds next_event() const override { return kNever; }
    Nanoseconds advance_to(Nanoseconds until) override { return until; }
    std::span<std::byte> state() override { return std::as_writable_bytes(std::span(&count, 1)); }
    DmaMemory dma() const override { return {memory, 0x1000, sizeof memory}; }
    mutable std::byte memory[16] = {};
    bool can_rewind() const override { return true; }
  } board;
  std::uint64_t variable_of_a_driver = 1;
  World world;
  host::attach(board);
  host::add_span(&variable_of_a_driver, sizeof variable_of_a_driver);
  auto checkpoint = host::checkpoint();
  ASSERT_TRUE(checkpoint.ok());
  board.count = 6;
  board.memory[15] = std::byte{1};
  variable_of_a_driver = 2;
  host::restore(**checkpoint);
  EXPECT_EQ(board.count, 5u);
  EXPECT_EQ(board.memory[15], std::byte{0});
  EXPECT_EQ(variable_of_a_driver, 1u);
  host::discard(*checkpoint);
}

TEST(SimCheckpoint, ABoardThatCannotRewindIsAnErrorThatSaysSo) {
  struct Elsewhere : Board {
    void attach(BoardHost&) override {}
    std::span<Device* const> devices() override { return {}; }
    unsigned lines() const override { return 0; }
    Nanoseconds next_event() const override { return kNever; }
    Nanoseconds advance_to(Nanoseconds until) override { return until; }
  } board;
  World world;
  host::attach(board);
  const auto checkpoint = host::checkpoint();
  ASSERT_FALSE(checkpoint.ok());
  EXPECT_NE(checkpoint.error().what.find("board 0"), std::string::npos);
}

}  // namespace kdpc
