// A driver's check variant tells every access to memory that others may see, and does what the driver does.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/drivers/accesses/accesses.h"

#include "kdpc/test.h"
#include "machine/host.h"
#include "machine/sink.h"
#include "trace/symbols.h"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ACCESS_TABLE* table;

}  // namespace

extern "C" VOID NTAPI TestAccessTable(ACCESS_TABLE* Table) { table = Table; }

namespace {

std::string file_of(const std::string& folder) { return std::string(KDPC_TEST_DRIVERS) + folder + "/accesses.drv"; }

struct Field {
  const char* name;
  std::size_t offset, size;
};
#define FIELD(name) \
  { #name, offsetof(ACCESS_DATA, name), sizeof(ACCESS_DATA::name) }
constexpr Field kFields[] = {FIELD(Byte),    FIELD(Short),   FIELD(Long),   FIELD(Wide), FIELD(Flag), FIELD(Count), FIELD(Count64),
                             FIELD(Count16), FIELD(Pointer), FIELD(Packed), FIELD(From), FIELD(To),   FIELD(Lock),  FIELD(Pair)};

std::string place(std::uintptr_t at) {
  const auto with_offset = [](const char* name, std::size_t offset) { return offset == 0 ? name : name + ("+" + std::to_string(offset)); };
  const std::uintptr_t in_data = at - reinterpret_cast<std::uintptr_t>(table->Data);
  for (const Field& field : kFields)
    if (in_data - field.offset < field.size) return with_offset(field.name, in_data - field.offset);
  const std::uintptr_t in_pages = at - reinterpret_cast<std::uintptr_t>(table->Pages);
  return in_pages < 3 * PAGE_SIZE ? with_offset("Pages", in_pages) : "elsewhere";
}

// "write 4 Long", and what is done to the driver's lock.
class Heard : public kdpc::EventSink {
 public:
  explicit Heard(kdpc::lab::Machine& machine) { machine.add_sink(*this); }
  void event(const kdpc::Stamp&, const kdpc::Event& event) override {
    if (table == nullptr) return;
    if (const auto* taken = std::get_if<kdpc::LockAcquired>(&event); taken != nullptr && taken->lock.value == lock())
      lines.emplace_back("lock-acquired");
    if (const auto* given = std::get_if<kdpc::LockReleased>(&event); given != nullptr && given->lock.value == lock())
      lines.emplace_back("lock-released");
  }
  bool wants_accesses() const override { return true; }
  void accesses(const kdpc::Stamp& stamp, std::span<const kdpc::Access> batch) override {
    for (const kdpc::Access& access : batch) {
      all.push_back(access);
      lines.push_back(std::string(access.is_atomic()     ? "atomic "
                                  : access.is_volatile() ? "volatile "
                                                         : "") +
                      (access.is_write() ? "write " : "read ") + std::to_string(access.size()) + " " + (table == nullptr ? "" : place(access.at)));
    }
    std::uintptr_t frames[32];
    const unsigned count = kdpc::host::stack_of_fact(frames, 32);
    if (std::find(frames, frames + count, batch.back().pc()) != frames + count) came_from.push_back(batch.back());
    levels.push_back(stamp.irql);
  }
  std::vector<std::string> lines;
  std::vector<kdpc::Access> all;
  std::vector<kdpc::Access> came_from;  // those whose hook has come to the machine
  std::vector<unsigned> levels;

 private:
  static std::uintptr_t lock() { return reinterpret_cast<std::uintptr_t>(&table->Data->Lock); }
};

// What is heard of one routine at PASSIVE_LEVEL.
class CheckVariant : public ::testing::Test {
 protected:
  void load() {
    std::string why;
    machine_ = kdpc::lab::Machine::create({.processors = 2}, why);
    ASSERT_NE(machine_, nullptr) << why;
    heard_.emplace(*machine_);
    table = nullptr;
    ASSERT_TRUE(machine_->load_driver(file_of("/check"), why)) << why;
    ASSERT_NE(table, nullptr);
  }
  const std::vector<std::string>& heard_of(ACCESS_ROUTINE* ACCESS_TABLE::*routine) {
    heard_->lines.clear();
    heard_->all.clear();
    machine_->on(0, PASSIVE_LEVEL, [=] { (table->*routine)(); });
    EXPECT_EQ(table->Wrong, 0) << "in this line of routines.c a result is wrong";
    return heard_->lines;
  }
  std::optional<Heard> heard_;
  std::unique_ptr<kdpc::lab::Machine> machine_;
};

}  // namespace

TEST_F(CheckVariant, TellsSizesAndKindsInOrder) {
  load();
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Plain),
              ElementsAre("write 1 Byte", "read 1 Byte", "write 2 Short", "read 4 Long", "write 4 Long", "read 4 Long", "write 8 Wide"));
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Volatile),
              ElementsAre("volatile write 4 Flag", "volatile read 4 Flag", "volatile write 4 Flag", "volatile read 4 Flag"));
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Unaligned), ElementsAre("write 4 Packed+1"));
}

TEST_F(CheckVariant, InterlockedOperationsAreAtomicAccessesAndRight) {
  load();
  std::vector<std::string> lines = heard_of(&ACCESS_TABLE::Interlocked);
  EXPECT_EQ(table->Data->Count, 4);
  EXPECT_EQ(table->Data->Count64, 0x123456789abcdef);
  EXPECT_EQ(table->Data->Count16, 1);
  EXPECT_EQ(table->Data->Pointer, nullptr);
  EXPECT_THAT(lines, ElementsAre("volatile write 4 Count", "atomic write 4 Count", "atomic write 4 Count", "atomic write 4 Count",
                                 "atomic write 4 Count", "atomic write 4 Count", "atomic write 4 Count", "atomic write 4 Count",
                                 "atomic write 4 Count", "atomic read 4 Count", "atomic write 4 Count", "atomic write 8 Count64",
                                 "atomic write 2 Count16", "atomic write 8 Pointer", "atomic write 8 Pointer"));
}

TEST_F(CheckVariant, InterlockedOperationsMayBeOf128Bits) {
  load();
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Wide), ::testing::AllOf(::testing::SizeIs(7), ::testing::Each("atomic write 16 Pair")));
}

TEST_F(CheckVariant, CopiesAndFillsAreRangesInPiecesOfPages) {
  load();
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Copies), ElementsAre("write 32 From", "read 13 From", "write 13 To", "read 5 From", "write 5 Packed",
                                                           "read 31 From", "write 31 From+1", "read 13 From", "read 13 To"));
  std::size_t filled = 0;
  heard_of(&ACCESS_TABLE::LargeFill);
  for (const kdpc::Access& access : heard_->all) {
    EXPECT_EQ(access.at, reinterpret_cast<std::uintptr_t>(table->Pages) + 100 + filled);
    EXPECT_EQ(access.at / PAGE_SIZE, (access.at + access.size() - 1) / PAGE_SIZE);
    filled += access.size();
  }
  EXPECT_EQ(filled, 3u * PAGE_SIZE - 200);
}

TEST_F(CheckVariant, StringRoutinesSayNothing) {
  load();
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Strings), IsEmpty());
  EXPECT_EQ(table->Wrong, 0);
}

TEST_F(CheckVariant, AnAccessIsHeardBeforeTheFactsThatFollowIt) {
  load();
  heard_->levels.clear();
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Locked), ElementsAre("write 1 Byte", "lock-acquired", "write 2 Short", "lock-released", "write 4 Long"));
  EXPECT_THAT(heard_->levels, ElementsAre(PASSIVE_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL));
}

TEST_F(CheckVariant, OfItsLocalsOnlyThoseAreHeardThatOthersMaySee) {
  load();
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Locals), IsEmpty());
  EXPECT_THAT(heard_of(&ACCESS_TABLE::Escaping), ElementsAre("write 4 elsewhere", "write 4 elsewhere"));
}

TEST_F(CheckVariant, AnAccessIsWhereTheSourceHasIt) {
  load();
  kdpc::Symbols symbols;
  heard_of(&ACCESS_TABLE::Plain);
  int line = 0;
  for (const kdpc::Access& access : heard_->all) {
    const kdpc::Symbol symbol = symbols.find(access.pc(), kdpc::Symbols::Meaning::ReturnAddress);
    EXPECT_EQ(symbol.image, "accesses");
    EXPECT_EQ(symbol.function, "Plain");
    EXPECT_THAT(symbol.file, HasSubstr("routines.c"));
    EXPECT_GE(symbol.line, line);
    line = symbol.line;
  }
  heard_of(&ACCESS_TABLE::Copies);
  for (const kdpc::Access& access : heard_->all) EXPECT_EQ(symbols.find(access.pc(), kdpc::Symbols::Meaning::ReturnAddress).function, "Copies");
}

TEST_F(CheckVariant, WhereAHookComesToTheMachineTheDriversFramesAreWhole) {
  load();
  heard_->came_from.clear();
  heard_of(&ACCESS_TABLE::Work);
  heard_of(&ACCESS_TABLE::Work);
  const auto any = [&](auto&& fits) { return std::any_of(heard_->came_from.begin(), heard_->came_from.end(), fits); };
  EXPECT_GE(heard_->came_from.size(), 10u);
  EXPECT_TRUE(any([](const kdpc::Access& access) { return access.is_atomic(); }));
  EXPECT_TRUE(any([](const kdpc::Access& access) { return !access.is_atomic() && access.size() <= 8; }));
}

TEST_F(CheckVariant, StaticConstructorsRunUnheard) {
  load();
  EXPECT_EQ(*table->Constructed, 1);
  for (const std::string& line : heard_->lines) EXPECT_THAT(line, ::testing::Not(HasSubstr("Constructed")));
}

TEST_F(CheckVariant, ARunIsTheSameTwiceWhoeverListens) {
  std::uint64_t hashes[3];
  std::vector<std::string> heard[3];
  std::vector<std::uintptr_t> places[3];
  for (int run = 0; run < 3; ++run) {
    machine_.reset();
    heard_.reset();
    if (run < 2) {
      load();
    } else {
      std::string why;
      machine_ = kdpc::lab::Machine::create({.processors = 2}, why);
      ASSERT_TRUE(machine_->load_driver(file_of("/check"), why)) << why;
    }
    const auto one = machine_->start(0, PASSIVE_LEVEL, [] { table->Work(); });
    const auto other = machine_->start(1, PASSIVE_LEVEL, [] { table->Work(); });
    EXPECT_TRUE(machine_->run_until([&] { return one.done() && other.done(); }, std::chrono::seconds(1)));
    hashes[run] = machine_->trace_hash();
    if (run == 2) break;
    heard[run] = heard_->lines;
    for (const kdpc::Access& access : heard_->all) places[run].push_back(access.at);
  }
  EXPECT_GT(heard[0].size(), 10'000u);
  EXPECT_EQ(heard[0], heard[1]);
  EXPECT_EQ(places[0], places[1]);
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_EQ(hashes[0], hashes[2]);
}

TEST_F(CheckVariant, OfADriverAndItsCheckVariantAProcessLoadsOne) {
  load();
  std::string why;
  ASSERT_TRUE(machine_->unload_driver("accesses", why)) << why;
  EXPECT_FALSE(machine_->load_driver(file_of(""), why));
  EXPECT_THAT(why, HasSubstr("check/accesses.drv, which this process has loaded before"));
}
