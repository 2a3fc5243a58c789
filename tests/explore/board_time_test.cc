// A board's time never goes back, whichever processor comes to it, in whatever order they do.
#include <wdm.h>

#include "kdpc/test.h"

namespace kdpc {
namespace {

constexpr std::uint64_t kBase = 0xE000;

// A device that looks at its board's time each time it is read.
struct Watch final : Board, Device {
  void attach(BoardHost& its_host) override { host = &its_host; }
  std::span<Device* const> devices() override { return {&self, 1}; }
  unsigned lines() const override { return 0; }
  Nanoseconds next_event() const override { return kNever; }
  Nanoseconds advance_to(Nanoseconds until) override { return until; }
  bool can_rewind() const override { return true; }
  std::string_view name() const override { return "watch"; }
  std::span<const RegisterRange> registers() const override { return {&range, 1}; }
  int line() const override { return -1; }
  std::uint64_t read(unsigned, std::uint64_t, unsigned) override {
    went_back = went_back || host->now() < latest;
    latest = host->now();
    return 0;
  }
  void write(unsigned, std::uint64_t, unsigned, std::uint64_t) override {}

  Device* self = this;
  BoardHost* host = nullptr;
  RegisterRange range{BusSpace::Port, kBase, 16};
  Nanoseconds latest = 0;
  bool went_back = false;
};

// Two devices that look at their board's time; on the second one something happens by itself.
struct Two final : Board {
  struct Look final : Device {
    Look(Two& its_board, std::uint64_t base) : board(its_board), range{BusSpace::Port, base, 16} {}
    std::string_view name() const override { return "look"; }
    std::span<const RegisterRange> registers() const override { return {&range, 1}; }
    int line() const override { return -1; }
    std::uint64_t read(unsigned, std::uint64_t, unsigned) override {
      latest = board.host->now();
      return 0;
    }
    void write(unsigned, std::uint64_t, unsigned, std::uint64_t) override {}
    Two& board;
    RegisterRange range;
    Nanoseconds latest = 0;
  };
  static constexpr Nanoseconds kDue = 900'000;

  void attach(BoardHost& its_host) override { host = &its_host; }
  std::span<Device* const> devices() override { return all; }
  unsigned lines() const override { return 0; }
  Nanoseconds next_event() const override { return due; }
  Nanoseconds advance_to(Nanoseconds until) override { return advance_source(1, until); }
  unsigned sources() const override { return 2; }
  unsigned source_of(const Device& device) const override { return &device == &second ? 1 : 0; }
  Nanoseconds next_event_of(unsigned source) const override { return source == 1 ? due : kNever; }
  Nanoseconds advance_source(unsigned source, Nanoseconds until) override {
    if (source == 1 && due <= until) due = kNever;
    return until;
  }

  BoardHost* host = nullptr;
  Look first{*this, kBase}, second{*this, kBase + 16};
  Device* all[2] = {&first, &second};
  Nanoseconds due = kDue;
};

EXPLORE_TEST(BoardTime, IsEachSourcesOwn, .schedules = 100, .goals = {"something happens early"}) {
  RULE("K.BUS-6");
  Two board;
  m.attach(board);
  m.on(0, PASSIVE_LEVEL, [] {
    for (int turn = 0; turn < 4; ++turn)
      for (const std::uint64_t base : {kBase, kBase + 16}) READ_PORT_ULONG(reinterpret_cast<PULONG>(base));
  });
  const auto went_along = [](const Two::Look& device) {
    return device.latest >= Two::kDue && device.latest < 10 * Two::kDue;
  };  // and the clock did not come
  EXPECT_FALSE(went_along(board.first));
  EXPECT_SOMETIMES(went_along(board.second), "something happens early");
}

EXPLORE_TEST(BoardTime, NeverGoesBack, .processors = 2, .schedules = 100) {
  RULE("K.BUS-4");
  Watch board;
  m.attach(board);
  const auto look = [] {
    for (int turn = 0; turn < 4; ++turn) READ_PORT_ULONG(reinterpret_cast<PULONG>(kBase));
  };
  const lab::Task one = m.start(0, PASSIVE_LEVEL, look), other = m.start(1, PASSIVE_LEVEL, look);
  m.run_until([&] { return one.done() && other.done(); }, 1'000'000);
  EXPECT_FALSE(board.went_back);
}

}  // namespace
}  // namespace kdpc
