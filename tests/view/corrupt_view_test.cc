// The debugger's views of memory that cannot be trusted, and of what is no World, or another build's: no crash, no endless list, a line that says it.
#include <fmt/format.h>

#include <cstring>
#include <string>

#include "kernel/system.h"
#include "tests/view/stage.h"
#include "view/views.h"

using namespace kdpc::test;

namespace {

std::uint64_t number(const volatile void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }
kdpc::Link& link_of(KDPC& dpc) { return reinterpret_cast<kdpc::Dpc&>(dpc).link; }

}  // namespace

KDPC_TEST(CorruptView, AQueueThatLeadsNowhereEndsWithALine, .processors = 3) {
  stage(m);
  link_of(high_dpc).next = reinterpret_cast<kdpc::Link*>(0x0dead00000000008);
  const std::string shown = m.view("dpcs 0");
  EXPECT_NE(shown.find(fmt::format(" 0: Normal  : 0x{:016x} ", number(&high_dpc))), std::string::npos) << shown;
  EXPECT_TRUE(shown.ends_with("Failed to read DPC at 0x0dead00000000000\n")) << shown;
  EXPECT_NE(m.view("pcr 0").find(": Failed to read DPC at 0x0dead00000000000\n"), std::string::npos);
}

KDPC_TEST(CorruptView, AQueueThatNeverEndsIsSaidToBeCorrupt, .processors = 3) {
  stage(m);
  link_of(medium_dpc).next = &link_of(low_dpc);
  EXPECT_TRUE(
      m.view("dpcs 0").ends_with(fmt::format("Corrupt queue: it never ends, the link at 0x{:016x} comes a second time\n", number(&link_of(low_dpc)))))
      << m.view("dpcs 0");
}

KDPC_TEST(CorruptView, ALinkThatDoesNotPointBackIsSaidAndTheListGoesOn, .processors = 3) {
  stage(m);
  link_of(low_dpc).previous = nullptr;
  const std::string shown = m.view("dpcs 0");
  EXPECT_NE(shown.find(fmt::format("0x{:016x}", number(&medium_dpc))), std::string::npos) << shown;
  EXPECT_TRUE(
      shown.ends_with(fmt::format("Corrupt queue: the link at 0x{:016x} does not point back to the one before it\n", number(&link_of(low_dpc)))))
      << shown;
}

KDPC_TEST(CorruptView, WhatIsNoDpcIsOneLineAndTheListGoesOn, .processors = 3) {
  stage(m);
  low_dpc.Type = 0xDD;
  const std::string shown = m.view("dpcs 0");
  EXPECT_NE(shown.find(fmt::format("\nFailed to read DPC at 0x{:016x}\n 0: Normal  : 0x{:016x} ", number(&low_dpc), number(&medium_dpc))),
            std::string::npos)
      << shown;
}

KDPC_TEST(CorruptView, AQueueAndItsDepthAreCompared, .processors = 3) {
  stage(m);
  kdpc::List::remove(link_of(low_dpc));
  EXPECT_TRUE(m.view("dpcs 0").ends_with("\nCorrupt queue: 2 are linked, its depth says 3\n")) << m.view("dpcs 0");
}

KDPC_TEST(CorruptView, AChainThatLeadsNowhereOrNeverEndsIsSaid, .processors = 3) {
  stage(m);
  auto& second = *reinterpret_cast<kdpc::Interrupt*>(second_interrupt);
  second.next = reinterpret_cast<kdpc::Interrupt*>(0x0dead00000000000);
  EXPECT_TRUE(m.view("idt 0").ends_with("calls\n         Failed to read KINTERRUPT at 0x0dead00000000000\n")) << m.view("idt 0");
  second.next = reinterpret_cast<kdpc::Interrupt*>(first_interrupt);
  EXPECT_TRUE(m.view("idt 0").ends_with(
      fmt::format("calls\n         Corrupt chain: it never ends, 0x{:016x} comes a second time\n", number(first_interrupt))))
      << m.view("idt 0");
}

KDPC_TEST(CorruptView, ATimerTableThatLeadsNowhereEndsWithALine, .processors = 3) {
  stage(m);
  reinterpret_cast<kdpc::Timer&>(one_shot).link.next = reinterpret_cast<kdpc::Link*>(0x0dead00000000020);
  EXPECT_NE(m.view("timer 0").find("\nFailed to read timer at 0x0dead00000000000\n\nTotal Timers: 1, "), std::string::npos) << m.view("timer 0");
  reinterpret_cast<kdpc::Timer&>(one_shot).dpc = reinterpret_cast<kdpc::Dpc*>(0x0dead00000000000);
  EXPECT_NE(m.view("timer 0").find("]  Failed to read DPC at 0x0dead00000000000\n"), std::string::npos) << m.view("timer 0");
}

// -- worlds that cannot be read -----------------------------------------------------------------------------------------------------------------

namespace {

class Empty : public kdpc::view::Memory {
 public:
  bool read(std::uintptr_t, void*, std::size_t) const override { return false; }
};

// This process, with another number somewhere.
class Changed : public kdpc::view::OwnMemory {
 public:
  Changed(const void* where, std::uint32_t value) : where_(reinterpret_cast<std::uintptr_t>(where)), value_(value) {}
  bool read(std::uintptr_t from, void* to, std::size_t size) const override {
    if (!OwnMemory::read(from, to, size)) return false;
    if (where_ >= from && where_ + sizeof value_ <= from + size) std::memcpy(static_cast<char*>(to) + (where_ - from), &value_, sizeof value_);
    return true;
  }

 private:
  std::uintptr_t where_;
  std::uint32_t value_;
};

std::string error_of(const kdpc::view::Memory& memory) {
  kdpc::Symbols symbols;
  const auto world = kdpc::view::World::open({memory, symbols});
  return world ? "" : world.error().what;
}

}  // namespace

TEST(CorruptView, WithoutAMachineThereIsNoWorld) {
  EXPECT_EQ(error_of(Empty()), "there is no World at 0x400000000e00: no machine has been created, or it is gone");
  EXPECT_NE(error_of(kdpc::view::OwnMemory()), "");
}

KDPC_TEST(CorruptView, AWorldOfAnotherBuildIsRefused) {
  EXPECT_EQ(error_of(kdpc::view::OwnMemory()), "");
  const kdpc::WorldHeader& header = kdpc::world_header();
  EXPECT_TRUE(error_of(Changed(&header.version, 99)).starts_with("this World was made by another version of kdpc (header 99, layout "))
      << error_of(Changed(&header.version, 99));
  EXPECT_TRUE(error_of(Changed(&header.layout, 1)).starts_with("this World was made by another version of kdpc (header 1, layout "));
  EXPECT_TRUE(error_of(Changed(&header.system, 8)).starts_with("the World's System at 0x")) << error_of(Changed(&header.system, 8));
}

KDPC_TEST(CorruptView, WhatIsAskedWronglyIsSaid) {
  EXPECT_EQ(m.view("dpc"), "there is no view 'dpc'; there are dpcs, irql, ipi, timer, pcr, prcb, running, idt, qlocks, analyze\n");
  EXPECT_EQ(m.view("dpcs -v"), "'-v' is nothing that 'dpcs' takes: dpcs [CPU]\n");
  EXPECT_EQ(m.view("dpcs 0 1"), "'1' is nothing that 'dpcs' takes: dpcs [CPU]\n");
  EXPECT_EQ(m.view("running 0"), "'0' is nothing that 'running' takes: running [-i] [-t]\n");
}
