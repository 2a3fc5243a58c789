// Endless loops inside the simulated machine are findings, and what its reports are made of.
#include "tests/machine/inside.h"

#include "kernel/bugcheck.h"
#include "kernel/dpc.h"
#include "machine/sim/fiber.h"
#include "machine/sim/guard.h"

namespace kdpc {

using namespace inside;

TEST(SimFault, AWalkByFramePointersCrossesStacksToo) {
  World world;
  static Dpc dpc;
  dpc = {};
  static std::uintptr_t frames[kMaxFrames];
  on(0, Irql::Passive, [] {
    outermost_function_of_the_test([] {
      const auto routine = [](Dpc*, void*, void*, void*) KDPC_NTAPI {
        EXPECT_EQ(Machine::stack_limits().kind, StackKind::Dpc);
        frames[sim::fiber::walk(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), frames, kMaxFrames - 1)] = 0;
      };
      dpc::initialize(dpc, routine, nullptr);
      dpc::insert(&dpc, nullptr, nullptr);
    });
  });
  EXPECT_TRUE(names(frames, outermost_function_of_the_test));
}

TEST(SimFault, CodeWithoutInterruptPointsIsNoProgress) {
  sim::guard::set_patience(200);
  {
    World world;
    const auto outcome = on(0, Irql::Passive, [] {
      outermost_function_of_the_test([] {
        for (volatile int forever = 1; forever != 0;) {
        }
      });
    });
    EXPECT_EQ(outcome.how, host::Ended::NoProgress);
    EXPECT_NE(outcome.text.find("\n  at "), std::string::npos) << outcome.text;
  }
  sim::guard::set_patience(30'000);
  World world;
  EXPECT_EQ(on(0, Irql::Passive, [] {}).how, host::Ended::ConditionMet);
}

}  // namespace kdpc
