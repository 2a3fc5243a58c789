#include <chrono>

#include "tests/soak/scene.h"

namespace kdpc::soak {

namespace {

// Of common ticks: most of the time everything goes on at once, and then it is calm for a while.
constexpr std::uint32_t kTurn = 512, kCalm = 48;
// And now and then for so long that a thread of several would have to wait longer than it may, if it got no turn.
constexpr std::uint32_t kTurnsPerLongCalm = 4, kLongCalm = 256;
static_assert(kLongCalm > bounds::worker(7));
constexpr std::uint32_t kTicksPerCall = 8;
constexpr auto kPause = std::chrono::microseconds(100);
constexpr unsigned kTurnsPerBeat = 5;

}  // namespace

void Outside::live() {
  for (unsigned turn = 0; !over_; ++turn) {
    if (turn % kTurnsPerBeat == 0) keep_tick();
    if (!quiet_ && !is_calm()) disturb();
    std::this_thread::sleep_for(kPause);
  }
}

// A message to every processor that has not been seen in this tick yet.
void Outside::keep_tick() {
  const unsigned processors = scene_.wish.processors;
  unsigned number = scene_.tick.advance(0);
  if (number == processors) {
    scene_.tick.begin_next();
    const std::uint32_t now = scene_.tick.now();
    if (now % kTurn == 0) scene_.prober = scene_.outside_.random.below(static_cast<unsigned>(scene_.workers_.size()));
    calm = now % kTurn >= kTurn - (now / kTurn % kTurnsPerLongCalm == 1 ? kLongCalm : kCalm);
    if (now % kTicksPerCall == 0) scene_.calls_wanted = scene_.flushes_wanted = 1;
    number = 0;
  }
  for (; number < processors; number = scene_.tick.advance(number + 1)) scene_.devices.send_message(number, scene_.outside_);
}

void Outside::disturb() {
  Activity& self = scene_.outside_;
  scene_.devices.send_message(self.random.below(scene_.wish.processors), self);
  scene_.devices.offer_work(self.random, self);
  for (unsigned index = 0; index < 4; ++index) scene_.works.insert(scene_.works.any(self.random), self, From::Outside);
}

}  // namespace kdpc::soak
