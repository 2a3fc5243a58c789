// Several devices on one vector: who is called, what an answer decides, and what is said about it (INT-14…16, INT-26, test vector 12).
#include <wdm.h>

#include <chrono>
#include <string>

#include "kdpc/test.h"

namespace {

using namespace std::chrono_literals;

constexpr unsigned kVector = 0x51;

// Devices that share a line: it is asserted while one of them wants to be served.
struct Device {
  const char* name;
  bool wants = false;
  bool answers_false = false;  // though it has served the device
  bool never_serves = false;
  Device* also = nullptr;  // wants something from the moment on at which this one's routine has been called
  PKINTERRUPT interrupt = nullptr;
  int served = 0;
};
Device a{"a"}, b{"b"};
std::string order;
unsigned line = 0;
kdpc::lab::Machine* machine = nullptr;

void settle() {
  if (a.wants || b.wants) {
    machine->assert_line(line);
  } else {
    machine->deassert_line(line);
  }
}

BOOLEAN NTAPI serve(PKINTERRUPT, PVOID Context) {
  auto& device = *static_cast<Device*>(Context);
  order += device.name;
  order += ' ';
  if (device.also != nullptr) {
    device.also->wants = true;
    device.also = nullptr;
  }
  settle();
  if (!device.wants || device.never_serves) return FALSE;
  device.wants = false;
  ++device.served;
  settle();
  return !device.answers_false;
}

void prepare(kdpc::lab::Machine& m, KINTERRUPT_MODE mode) {
  a = {"a"};
  b = {"b"};
  order.clear();
  order.reserve(1024);
  machine = &m;
  line = m.add_line(mode == LevelSensitive);
  m.assign_line(line, kVector, mode == LevelSensitive);
}

void connect(Device& device, KINTERRUPT_MODE mode) {
  KDPC_EXPECT_EQ(IoConnectInterrupt(&device.interrupt, serve, &device, nullptr, kVector, 5, 5, mode, TRUE, 1, FALSE), STATUS_SUCCESS);
}

void interrupt(kdpc::lab::Machine& m, Device& device) {
  device.wants = true;
  settle();
  m.on(0, PASSIVE_LEVEL, [] {}, {.priority = 1});  // behind the interrupt
}

std::size_t answers(kdpc::lab::Machine& m, const Device& device, bool claimed, bool asserted) {
  return m.count("isr-answered", {{"interrupt", m.address_of(device.interrupt)}, {"claimed", claimed}, {"asserted", asserted}});
}

KDPC_TEST(Chain, OnALatchedVectorWholePassesAreMadeUntilOneFindsNothing) {
  RULE("INT-15");
  RULE("INT-16");
  RULE("V-9");
  prepare(m, Latched);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(a, Latched);
    connect(b, Latched);
  });
  b.also = &a;  // a's edge comes while b is served: the line does not move, so there is no second interrupt
  interrupt(m, b);
  EXPECT_EQ(order, "a b a b a b ");  // what b claimed, what a claimed, nothing
  EXPECT_EQ(a.served, 1);
  EXPECT_EQ(m.count("interrupt-requested", {{"vector", kVector}}), 1u);
  // The first one's claim alone does not end it either.
  order.clear();
  interrupt(m, a);
  EXPECT_EQ(order, "a b a b ");
}

// What ReactOS does: only the last routine's answer is looked at.
KDPC_TEST(Chain, WithLastClaimsTheLastAnswerDecides, .options = {{"latched_chain", "last_claims"}}) {
  RULE("INT-15");
  prepare(m, Latched);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(a, Latched);
    connect(b, Latched);
  });
  interrupt(m, a);
  EXPECT_EQ(order, "a b ");
  order.clear();
  interrupt(m, b);
  EXPECT_EQ(order, "a b a b ");
}

// Vector 12 (a), on a chain: on a level line the answer FALSE costs the calls of the others, and that is said.
KDPC_TEST(Chain, FalseAfterServingIsHarmlessOnALevelLineAndCanBeSeen, .checks = {.off = {"isr-served-returned-false"}}) {
  RULE("INT-16");
  RULE("V-12a");
  prepare(m, LevelSensitive);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(a, LevelSensitive);
    connect(b, LevelSensitive);
  });
  a.answers_false = true;
  interrupt(m, a);
  EXPECT_EQ(order, "a b ");
  EXPECT_EQ(answers(m, a, false, false), 1u);  // not claimed, and yet the line is down: it was this one
  EXPECT_EQ(m.count("isr-answered", {{"interrupt", m.address_of(a.interrupt)}, {"chained", 1}}), 1u);
  interrupt(m, b);
  EXPECT_EQ(b.served, 1);
  EXPECT_EQ(answers(m, a, false, true), 1u);  // not claimed, and not served: the line is still up
  EXPECT_EQ(answers(m, b, true, false), 1u);
}

// Vector 12 (b): the same answer on a latched line ends the passes early, and the other device's edge is lost.
KDPC_TEST(Chain, FalseAfterServingLosesTheOthersEdgeOnALatchedLine) {
  RULE("INT-16");
  RULE("V-12b");
  for (const bool answers_false : {false, true}) {
    prepare(m, Latched);
    m.on(0, PASSIVE_LEVEL, [] {
      connect(a, Latched);
      connect(b, Latched);
    });
    b.answers_false = answers_false;
    b.also = &a;
    interrupt(m, b);
    m.run_for(100ms);
    EXPECT_EQ(b.served, 1);
    EXPECT_EQ(a.served, answers_false ? 0 : 1);
    EXPECT_EQ(a.wants, answers_false);
    EXPECT_EQ(answers(m, b, false, true), answers_false ? 1u : 0u);  // served its device and said FALSE, and the line is up
    m.on(0, PASSIVE_LEVEL, [] {
      IoDisconnectInterrupt(a.interrupt);
      IoDisconnectInterrupt(b.interrupt);
    });
    m.forget_events();
  }
}

// Vector 12 (c): FALSE and nothing done.
KDPC_TEST(Chain, FalseWithoutQuietingTheDeviceIsAStormOnALevelLine, .options = {{"storm_dispatches", "300"}}) {
  RULE("V-12c");
  RULE("INT-18");
  prepare(m, LevelSensitive);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(a, LevelSensitive);
    connect(b, LevelSensitive);
  });
  b.never_serves = true;
  interrupt(m, b);
  EXPECT_BUGCHECK(0xF2, serve, &a, a.interrupt, 2);  // the first of the chain
  ASSERT_TRUE(m.outcome().bugcheck);
  EXPECT_EQ(m.outcome().bugcheck->rule, "INT-18");
  EXPECT_EQ(answers(m, b, false, true), 301u);
}

KDPC_TEST(Chain, TheOneThatLeavesAnAssertedLineToOthersIsNamed, .processors = 2, .options = {{"storm_dispatches", "300"}},
          .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("INT-26");
  prepare(m, LevelSensitive);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(b, LevelSensitive);
    connect(a, LevelSensitive);
  });
  // Processor 0, which serves the vector, is held off while the device asserts and processor 1 disconnects it.
  m.start(0, 11, [] { KeStallExecutionProcessor(500); });
  m.run_for(100us);
  a.wants = true;
  settle();
  m.on(1, PASSIVE_LEVEL, [] { IoDisconnectInterrupt(a.interrupt); });
  EXPECT_EQ(m.count("disconnected-asserting", {{"interrupt", m.address_of(a.interrupt)}, {"alone", 0}}), 1u);
  m.run_for(100ms);
  EXPECT_BUGCHECK(0xF2, serve, &b, b.interrupt, 1);
  ASSERT_TRUE(m.outcome().bugcheck);
  EXPECT_EQ(m.outcome().bugcheck->rule, "INT-26");
}

KDPC_TEST(Chain, TheLastOneThatLeavesAnAssertedLineIsNamedToo, .processors = 2, .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("INT-26");
  prepare(m, LevelSensitive);
  m.on(0, PASSIVE_LEVEL, [] { connect(a, LevelSensitive); });
  auto held = m.start(0, 11, [] { KeStallExecutionProcessor(500); });
  m.run_for(100us);
  a.wants = true;
  settle();
  m.on(1, PASSIVE_LEVEL, [] { IoDisconnectInterrupt(a.interrupt); });
  EXPECT_EQ(m.count("disconnected-asserting", {{"alone", 1}}), 1u);
  m.run_until([&] { return held.done(); }, 10ms);
  EXPECT_EQ(a.served, 0);  // nobody hears the line any more
  // Whoever connects next is interrupted at once, and is not blamed for what was before.
  m.on(0, PASSIVE_LEVEL, [] { connect(a, LevelSensitive); });
  EXPECT_EQ(a.served, 1);
  m.on(0, PASSIVE_LEVEL, [] { IoDisconnectInterrupt(a.interrupt); });
  EXPECT_EQ(m.count("disconnected-asserting"), 1u);
}

}  // namespace
