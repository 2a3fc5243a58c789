// What comes from outside: descriptors of Linux that are lines and messages, and devices whose own threads interrupt. Everything is counted twice, by who sends
// and by the service routine, and both must come to the same.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "kdpc/descriptor.h"
#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "tests/machine/inside.h"

namespace kdpc {

namespace {

using inside::kMillisecond;
using inside::kSecond;
using inside::on;
using Kind = DescriptorInterrupt::Kind;

constexpr std::uint64_t kBase = 0xFE00'0000;
constexpr std::uint8_t kVector = 0x62;

// A device whose registers are read only.
class Registers final : public Device {
 public:
  explicit Registers(std::function<std::uint64_t(std::uint64_t)> read) : read_(std::move(read)) {}
  std::string_view name() const override { return "registers"; }
  std::span<const RegisterRange> registers() const override { return range_; }
  int line() const override { return -1; }
  std::uint64_t read(unsigned, std::uint64_t offset, unsigned) override { return read_(offset); }
  void write(unsigned, std::uint64_t, unsigned, std::uint64_t) override {}

 private:
  const std::function<std::uint64_t(std::uint64_t)> read_;
  RegisterRange range_[1] = {{BusSpace::Memory, kBase, 16}};
};

// What is read from the descriptor is read by the service routine, through the device's register.
class DescriptorBoard final : public Board {
 public:
  DescriptorBoard(int descriptor, const DescriptorInterrupt::Wish& wish, unsigned width = 8) : descriptor_(descriptor), width_(width), wish_(wish) {}

  void attach(BoardHost& host) override { connected = interrupt.connect(host, descriptor_, wish_); }
  std::span<Device* const> devices() override { return devices_; }
  unsigned lines() const override { return 1; }
  bool line_is_level(unsigned) const override { return wish_.kind == Kind::Level; }
  unsigned messages() const override { return 1; }
  Nanoseconds next_event() const override { return kNever; }
  Nanoseconds advance_to(Nanoseconds until) override { return until; }

  DescriptorInterrupt interrupt;
  bool connected = false;

 private:
  std::uint64_t read(std::uint64_t offset) {
    if (offset == 8) return interrupt.has_ended() ? 1 : 0;
    std::uint64_t value = 0;
    const std::size_t got = interrupt.read(&value, width_);
    return width_ == 8 ? value : (value & 0xFF) | got << 8;
  }

  int descriptor_;
  unsigned width_;
  DescriptorInterrupt::Wish wish_;
  Registers registers_{[this](std::uint64_t offset) { return read(offset); }};
  Device* devices_[1] = {&registers_};
};

// Counts how often it is called, and gathers what the device has.
struct Service {
  std::atomic<std::uint64_t> calls{0}, sum{0}, queued{0}, dpcs{0};
  std::string text;  // with bytes
  bool bytes = false;
  Dpc dpc = {};

  static unsigned char KDPC_NTAPI routine(Interrupt*, void* context) {
    auto& self = *static_cast<Service*>(context);
    std::uint64_t value = 0;
    if (self.bytes) {
      // All that is there: an edge may stand for several.
      while (host::bus_read(BusSpace::Memory, kBase, 8, value) && value >> 8 != 0) self.text += static_cast<char>(value);
    } else {
      host::bus_read(BusSpace::Memory, kBase, 8, value);
      self.sum += value;
    }
    if (dpc::insert(&self.dpc, nullptr, nullptr)) ++self.queued;  // unless the call before has not had its run yet
    ++self.calls;                                                 // it looks no more: whatever comes from here on calls it again
    return 1;
  }
  // Takes one byte a call.
  static unsigned char KDPC_NTAPI take_one(Interrupt*, void* context) {
    auto& self = *static_cast<Service*>(context);
    ++self.calls;
    std::uint64_t value = 0;
    host::bus_read(BusSpace::Memory, kBase, 8, value);
    if (value >> 8 != 0) self.text += static_cast<char>(value);
    return 1;
  }
  static void KDPC_NTAPI run(Dpc*, void* context, void*, void*) { ++static_cast<Service*>(context)->dpcs; }

  void connect(bool level, unsigned processor = 0, ServiceRoutine* its = routine) {
    if (bytes) text.reserve(1 << 16);
    on(processor, Irql::Passive, [this, level, processor, its] {
      dpc::initialize(dpc, run, this);
      InterruptSpec spec{};
      spec.routine = its;
      spec.context = this;
      spec.vector = kVector;
      spec.irql = spec.synchronize_irql = irql_of(kVector);
      spec.trigger = level ? Trigger::Level : Trigger::Latched;
      spec.processors = ProcessorSet::only(processor);
      Interrupt* interrupt = nullptr;
      EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
    });
  }
};

struct Pair {
  int ours = -1, theirs = -1;  // ours: the machine reads it
  ~Pair() {
    ::close(ours);
    if (theirs != ours && theirs >= 0) ::close(theirs);
  }
};
void make_pipe(Pair& pair) {
  int both[2];
  ASSERT_EQ(::pipe2(both, O_CLOEXEC), 0);
  pair.ours = both[0];
  pair.theirs = both[1];
}
void make_sockets(Pair& pair) {
  int both[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
  pair.ours = both[0];
  pair.theirs = both[1];
}
void make_terminal(Pair& pair) {
  pair.ours = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(pair.ours, 0);
  ASSERT_EQ(::grantpt(pair.ours), 0);
  ASSERT_EQ(::unlockpt(pair.ours), 0);
  pair.theirs = ::open(::ptsname(pair.ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(pair.theirs, 0);
  termios settings{};
  ::tcgetattr(pair.theirs, &settings);
  ::cfmakeraw(&settings);
  ASSERT_EQ(::tcsetattr(pair.theirs, TCSANOW, &settings), 0);
}

// A host that is busy with others may give a processor nothing for a second.
host::Config patient(unsigned processors) {
  host::Config config{.processors = processors};
  config.options.clock_watchdog_ticks = 0;
  return config;
}

bool until(const std::function<bool()>& condition) {
  const host::Outcome outcome = host::run_until(condition, 20 * kSecond);
  if (outcome.report)
    ADD_FAILURE() << std::hex << outcome.report->code << " at processor " << outcome.report->processor << ": " << outcome.report->sentence;
  return outcome.how == host::Ended::ConditionMet;
}

// One write, one call: the next is written when the service routine has been there.
void expect_a_call_for_each_write(const Pair& pair, Kind kind) {
  DescriptorBoard board(pair.ours, {.kind = kind, .line = 0}, 1);
  const inside::World world(patient(2));
  const auto at = host::attach(board);
  host::assign_line(at.first_line, kVector, kind == Kind::Level);
  Service service;
  service.bytes = true;
  service.connect(kind == Kind::Level, 1);
  std::string sent;
  for (std::uint64_t count = 1; count <= 200; ++count) {
    sent += static_cast<char>('a' + count % 26);
    ASSERT_EQ(::write(pair.theirs, &sent.back(), 1), 1);
    ASSERT_TRUE(until([&] { return service.calls == count; })) << count;
  }
  EXPECT_EQ(service.text, sent);
  EXPECT_EQ(service.calls, 200u);
  EXPECT_TRUE(until([&] { return service.dpcs == service.queued; }));
}

// As fast as it goes: interrupts may stand for several bytes, and no byte is lost.
void expect_every_byte(const Pair& pair, Kind kind) {
  DescriptorBoard board(pair.ours, {.kind = kind, .line = 0}, 1);
  const inside::World world(patient(2));
  const auto at = host::attach(board);
  host::assign_line(at.first_line, kVector, kind == Kind::Level);
  Service service;
  service.bytes = true;
  service.connect(kind == Kind::Level);
  std::string sent;
  for (unsigned index = 0; index < 20'000; ++index) sent += static_cast<char>(index % 251);
  std::thread writer([&] {
    for (std::size_t done = 0; done < sent.size();) {
      const ssize_t wrote = ::write(pair.theirs, sent.data() + done, std::min<std::size_t>(1 + done % 97, sent.size() - done));
      if (wrote <= 0) break;
      done += static_cast<std::size_t>(wrote);
    }
  });
  EXPECT_TRUE(until([&] { return service.text.size() == sent.size(); })) << service.text.size();
  writer.join();
  EXPECT_EQ(service.text, sent);
}

}  // namespace

TEST(LiveSources, AnEventfdsCountIsExactHoweverItsWritesFallTogether) {
  for (const bool message : {false, true}) {
    const Pair event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), -1};
    DescriptorBoard board(event.ours, message ? DescriptorInterrupt::Wish{.message = 0} : DescriptorInterrupt::Wish{.line = 0});
    const inside::World world(patient(2));
    const auto at = host::attach(board);
    if (message) {
      host::assign_message(at.first_message, kVector);
    } else {
      host::assign_line(at.first_line, kVector, false);
    }
    Service service;
    service.connect(false, 1);
    constexpr std::uint64_t kWrites = 50'000;
    std::thread writer([&] {
      const std::uint64_t one = 1;
      for (std::uint64_t count = 0; count < kWrites; ++count) EXPECT_EQ(::write(event.ours, &one, sizeof one), 8);
    });
    EXPECT_TRUE(until([&] { return service.sum == kWrites; })) << service.sum;
    writer.join();
    EXPECT_LE(service.calls, kWrites);
    // And one by one, each has its call.
    const std::uint64_t before = service.calls;
    for (std::uint64_t count = 1; count <= 100; ++count) {
      const std::uint64_t seven = 7;
      ASSERT_EQ(::write(event.ours, &seven, sizeof seven), 8);
      ASSERT_TRUE(until([&] { return service.sum == kWrites + 7 * count; })) << count;
    }
    EXPECT_EQ(service.sum, kWrites + 700);
    EXPECT_LE(service.calls - before, 101u);  // the last of the many may have left an edge behind, with nothing to read
    EXPECT_GE(service.calls - before, 100u);
  }
}

TEST(LiveSources, ATimerfdsExpirationsAreAllCounted) {
  for (const Kind kind : {Kind::Edge, Kind::Level}) {
    const Pair timer{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), -1};
    DescriptorBoard board(timer.ours, {.kind = kind, .line = 0});
    const inside::World world(patient(2));
    const auto at = host::attach(board);
    host::assign_line(at.first_line, kVector, kind == Kind::Level);
    Service service;
    service.connect(kind == Kind::Level);
    const auto began = std::chrono::steady_clock::now();
    const itimerspec every{{0, 1'000'000}, {0, 1'000'000}};
    ASSERT_EQ(::timerfd_settime(timer.ours, 0, &every, nullptr), 0);
    EXPECT_TRUE(until([&] { return service.sum >= 100; }));
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    EXPECT_GE(passed, 100);
    EXPECT_LE(service.sum, static_cast<std::uint64_t>(passed) + 1);
    EXPECT_GT(service.calls, 10u);
  }
}

namespace {

void expect_a_call_for_each_write_to(void (*make)(Pair&)) {
  for (const Kind kind : {Kind::Edge, Kind::Level}) {
    Pair pair;
    make(pair);
    expect_a_call_for_each_write(pair, kind);
  }
}

}  // namespace

TEST(LiveSources, APipeInterruptsOnceForEachWrite) { expect_a_call_for_each_write_to(make_pipe); }
TEST(LiveSources, ASocketInterruptsOnceForEachWrite) { expect_a_call_for_each_write_to(make_sockets); }
TEST(LiveSources, ATerminalInterruptsOnceForEachWrite) { expect_a_call_for_each_write_to(make_terminal); }

TEST(LiveSources, NoByteIsLostHoweverFastTheyCome) {
  for (const Kind kind : {Kind::Edge, Kind::Level}) {
    Pair pipe, sockets, terminal;
    make_pipe(pipe);
    expect_every_byte(pipe, kind);
    make_sockets(sockets);
    expect_every_byte(sockets, kind);
    make_terminal(terminal);
    expect_every_byte(terminal, kind);
  }
}

TEST(LiveSources, ALevelStaysUntilAllIsReadAndTheOtherEndsGoingEndsIt) {
  Pair pair;
  make_pipe(pair);
  DescriptorBoard board(pair.ours, {.kind = Kind::Level, .line = 0}, 1);
  const inside::World world(patient(1));
  const auto at = host::attach(board);
  host::assign_line(at.first_line, kVector, true);
  Service service;
  service.connect(true, 0, Service::take_one);
  ASSERT_EQ(::write(pair.theirs, "seven..", 7), 7);
  ::close(std::exchange(pair.theirs, -1));
  std::uint64_t ended = 0;
  EXPECT_TRUE(until([&] { return service.text.size() == 7; }));
  EXPECT_EQ(service.text, "seven..");
  while (ended == 0)
    on(0, Irql::Passive, [&] {
      std::uint64_t value;
      host::bus_read(BusSpace::Memory, kBase, 8, value);
      host::bus_read(BusSpace::Memory, kBase + 8, 8, ended);
    });
  const std::uint64_t calls = service.calls;
  EXPECT_LE(calls, 9u);
  host::run_until(nullptr, 20 * kMillisecond);
  EXPECT_EQ(service.calls, calls);
}

// Two threads of a board's own raise one message each, and come in to change what the registers say.
TEST(LiveSources, ABoardsOwnThreadsLoseNoMessageAndHaveTheBoardToThemselvesWhenTheyComeIn) {
  class Storm final : public Board {
   public:
    void attach(BoardHost& host) override { host_ = &host; }
    std::span<Device* const> devices() override { return devices_; }
    unsigned lines() const override { return 0; }
    unsigned messages() const override { return 2; }
    bool acts_by_itself() const override { return true; }
    Nanoseconds next_event() const override { return kNever; }
    Nanoseconds advance_to(Nanoseconds until) override { return until; }
    void raise(unsigned message) {
      host_->enter([this] {
        if (inside_.exchange(true)) ++collisions;
        ++raised_;
        inside_ = false;
      });
      host_->send_message(message);
    }
    std::atomic<unsigned> collisions{0};

   private:
    BoardHost* host_ = nullptr;
    std::atomic<bool> inside_{false};
    std::uint64_t raised_ = 0;
    Registers registers_{[this](std::uint64_t) {
      if (inside_.exchange(true)) ++collisions;
      const std::uint64_t all = std::exchange(raised_, 0);
      inside_ = false;
      return all;
    }};
    Device* devices_[1] = {&registers_};
  };
  Storm board;
  const inside::World world(patient(2));
  const auto at = host::attach(board);
  for (unsigned message = 0; message < 2; ++message) host::assign_message(at.first_message + message, kVector);
  Service service;
  service.connect(false, 1);
  // Nobody has anything to do, and yet it is not the end.
  EXPECT_EQ(host::run_until([] { return false; }, 100 * kMillisecond).how, host::Ended::TimeLimit);
  constexpr std::uint64_t kEach = 100'000;
  std::thread threads[2];
  for (unsigned number = 0; number < 2; ++number)
    threads[number] = std::thread([&board, number] {
      for (std::uint64_t count = 0; count < kEach; ++count) board.raise(number);
    });
  EXPECT_TRUE(until([&] { return service.sum == 2 * kEach; })) << service.sum;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(service.sum, 2 * kEach);
  EXPECT_EQ(board.collisions, 0u);
}

TEST(LiveSources, WhatComesWhileTheMachineStandsStillIsThereWhenItGoesOn) {
  const Pair event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), -1};
  DescriptorBoard board(event.ours, {.line = 0});
  const inside::World world(patient(1));
  const auto at = host::attach(board);
  host::assign_line(at.first_line, kVector, false);
  Service service;
  service.connect(false);
  const std::uint64_t five = 5;
  ASSERT_EQ(::write(event.ours, &five, sizeof five), 8);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(service.calls, 0u);
  EXPECT_TRUE(until([&] { return service.sum == 5; }));
}

TEST(LiveSources, AFileCannotBeWatchedAndThatIsSaid) {
  const Pair file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC), -1};
  DescriptorBoard board(file.ours, {.line = 0});
  const inside::World world(patient(1));
  host::attach(board);
  EXPECT_FALSE(board.connected);
  const auto outcome = host::run_until([] { return false; }, kSecond);
  EXPECT_EQ(outcome.how, host::Ended::HostFailure);
  EXPECT_EQ(outcome.text, "the file descriptor " + std::to_string(file.ours) + " cannot be watched: Operation not permitted");
}

// In both orders of going, with something always under way.
TEST(LiveSources, MachinesComeAndGoWithSourcesThatNeverRest) {
  const Pair event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), -1};
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const std::uint64_t one = 1;
    while (!stop) (void)!::write(event.ours, &one, sizeof one);
  });
  for (unsigned round = 0; round < 30; ++round) {
    DescriptorBoard outlives(event.ours, {.line = 0});
    const inside::World world(patient(1 + round % 4));
    // Only the first one's registers are reached, as they all have the same.
    const auto at = host::attach(outlives);
    host::assign_line(at.first_line, kVector, false);
    Service service;
    service.connect(false);
    int second = ::fcntl(event.ours, F_DUPFD_CLOEXEC, 0), third = ::fcntl(event.ours, F_DUPFD_CLOEXEC, 0);
    DescriptorBoard level(second, {.kind = Kind::Level, .line = 0}), message(third, {.message = 0});
    host::attach(level);
    host::attach(message);
    EXPECT_TRUE(level.connected && message.connected);
    EXPECT_TRUE(until([&] { return service.calls > 20; }));
    message.interrupt.disconnect();
    if (round % 2 == 0) level.interrupt.disconnect();
    ::close(second);
    ::close(third);
  }
  stop = true;
  writer.join();
}

}  // namespace kdpc
