// The example driver hello, the same twice: a second machine runs as the first did, and a checkpoint leads through the same future again, in every order of two
// processors, depth first.
#include <wdm.h>

#include <algorithm>
#include <vector>

#include "kdpc/test.h"
#include "kernel/job.h"
#include "kernel/system.h"
#include "machine/host.h"
#include "machine/sim/choice.h"
#include "tests/io/hello_driver.h"
#include "tests/io/pulse_board.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;

using test::kHello;

// Each run takes the path of the one before, but for its last open decision. The first kDepth choices are open, later ones are the default.
class DepthFirst : public sim::Oracle {
 public:
  bool begin() override {
    position_ = 0;
    if (first_) return first_ = false, true;
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().count) path_.pop_back();
    return !path_.empty() && ++path_.back().chosen != 0;
  }
  std::size_t choose(std::span<const sim::Candidate> candidates) override {
    if (position_ == path_.size() && path_.size() < kDepth) path_.push_back({0, candidates.size()});
    return position_ < path_.size() ? path_[position_++].chosen : 0;
  }
  std::uint64_t number(std::uint64_t) override { return 0; }
  std::uint64_t edges_between_choices() const override { return 4; }

 private:
  static constexpr std::size_t kDepth = 13;
  struct Decision {
    std::size_t chosen, count;
  };
  std::vector<Decision> path_;
  std::size_t position_ = 0;
  bool first_ = true;
};

// In pool, so that a restore takes it back.
struct Scene {
  volatile int finished;
  HELLO_COUNTS counts;
};
Scene* scene;

void NTAPI trigger_and_read(void*) {
  lab::DeviceFile file;
  KDPC_EXPECT(file.open("\\Device\\Hello") == STATUS_SUCCESS);
  KDPC_EXPECT(file.control(IOCTL_HELLO_TRIGGER).ok());
  file.read(&scene->counts, sizeof scene->counts);
  file.close();
  __atomic_add_fetch(&scene->finished, 1, __ATOMIC_ACQ_REL);
}

KDPC_TEST(HelloOrders, TenThousandRestoresGiveEqualHashes, .processors = 2, .remember_events = 0) {
  test::PulseBoard board({{"pulse"}});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(kHello, why)) << why;
  ASSERT_TRUE(m.start_device("pulse", "hello", why)) << why;
  m.on(0, PASSIVE_LEVEL, [] { scene = static_cast<Scene*>(ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(Scene), 0x6e656353)); });
  ASSERT_NE(scene, nullptr);
  m.run_for(1ms);
  for (unsigned processor = 0; processor < 2; ++processor) {
    ASSERT_TRUE(job::post("reader", trigger_and_read, nullptr, ProcessorSet::only(processor)));
    host::job_posted(processor);
  }
  const auto start = host::checkpoint();
  ASSERT_TRUE(start) << start.error().what;

  constexpr std::size_t kOrders = 5'000;
  std::vector<std::uint64_t> hashes[2];
  for (auto& pass : hashes) {
    DepthFirst oracle;
    sim::set_oracle(&oracle);
    while (pass.size() < kOrders && oracle.begin()) {
      host::restore(*start.value());
      ASSERT_TRUE(m.run_until([] { return scene->finished == 2; }, 1s)) << m.outcome().report();
      pass.push_back(m.trace_hash());
    }
    sim::set_oracle(nullptr);
  }
  ASSERT_EQ(hashes[0].size(), kOrders);
  EXPECT_EQ(hashes[0], hashes[1]);
  std::vector<std::uint64_t> distinct = hashes[0];
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  EXPECT_GT(distinct.size(), kOrders / 50) << "the orders must not all be one run";
  host::restore(*start.value());
  host::discard(start.value());
}

std::uint64_t hash_of_a_run() {
  std::string why;
  auto machine = lab::Machine::create({}, why);
  test::PulseBoard board({{"pulse", 0, 1'000'000}});
  machine->attach(board);
  EXPECT_TRUE(machine->load_driver(kHello, why)) << why;
  EXPECT_TRUE(machine->start_device("pulse", "hello", why)) << why;
  machine->run_for(5ms);
  EXPECT_EQ(test::counts_of(*machine).Interrupts, 1u);
  return machine->trace_hash();
}

TEST(HelloTwice, ASecondMachineRunsTheSameDriverTheSameWay) {
  const std::uint64_t first = hash_of_a_run();
  EXPECT_EQ(hash_of_a_run(), first);
}

}  // namespace
}  // namespace kdpc
