// Loading drivers from files: what is refused and why, how settings are read, and that every load begins with a fresh image.
#include <gmock/gmock.h>
#include <wdm.h>

#include <fstream>
#include <map>
#include <vector>

#include "kdpc/test.h"

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<ULONG> asked;
std::map<std::string, ULONG> settings;

std::string driver(const std::string& name) { return std::string(KDPC_TEST_DRIVERS) + "/" + name + ".drv"; }

}  // namespace

// What the test drivers call: a host program may define routines for its drivers.
extern "C" NTKERNELAPI ULONG NTAPI TestEntryAsked(ULONG times);
extern "C" ULONG NTAPI TestEntryAsked(ULONG times) {
  asked.push_back(times);
  return times;
}
extern "C" NTKERNELAPI VOID NTAPI TestSettingRead(PCSZ how, ULONG number);
extern "C" VOID NTAPI TestSettingRead(PCSZ how, ULONG number) { settings[how] = number; }

namespace {

KDPC_TEST(Loader, AFileThatIsNoDriverIsRefusedWithAReason) {
  const std::string path = ::testing::TempDir() + "no_driver.drv";
  std::ofstream(path) << "once upon a time";
  std::string why;
  EXPECT_FALSE(m.load_driver(path, why));
  EXPECT_THAT(why, AllOf(HasSubstr("no_driver.drv"), HasSubstr("is not an ELF file")));
  EXPECT_FALSE(m.load_driver("/nowhere/x.drv", why));
  EXPECT_THAT(why, HasSubstr("No such file"));
}

KDPC_TEST(Loader, MissingExportsAreNamedAllAtOnce) {
  std::string why;
  EXPECT_FALSE(m.load_driver(driver("image_missing_exports"), why));
  EXPECT_THAT(why, AllOf(HasSubstr("2 routines"), HasSubstr("NtKdpcFirstMissing, NtKdpcSecondMissing")));
}

KDPC_TEST(Loader, ACheckVariantIsForTheSimulatedMachineOnly) {
  std::string why;
  const bool loaded = m.load_driver(driver("check/image_good"), why);
  if (kdpc::lab::is_simulated()) {
    EXPECT_TRUE(loaded) << why;
  } else {
    EXPECT_FALSE(loaded);
    EXPECT_THAT(why, AllOf(HasSubstr("check/image_good.drv: is a check variant"), HasSubstr("this machine is live")));
  }
}

KDPC_TEST(Loader, ADriverEntryThatFailsIsReportedByNameAndValue) {
  std::string why;
  asked.clear();
  EXPECT_FALSE(m.load_driver(driver("entry_fails"), why));
  EXPECT_EQ(why, "entry_fails: DriverEntry failed with STATUS_DEVICE_CONFIGURATION_ERROR (0xC0000182)");
  EXPECT_FALSE(m.load_driver(driver("entry_fails"), why));
  EXPECT_THAT(asked, ::testing::ElementsAre(1u, 1u));  // its counter was zero again
}

KDPC_TEST(Loader, ADriverIsLoadedOnceAtATime) {
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("settings_reader"), why, {.settings = {{"Depth", std::uint64_t{1}}, {"Title", "x"}}})) << why;
  EXPECT_FALSE(m.load_driver(driver("settings_reader"), why));
  EXPECT_THAT(why, HasSubstr("is loaded already"));
  ASSERT_TRUE(m.unload_driver("settings_reader", why)) << why;
  EXPECT_FALSE(m.unload_driver("settings_reader", why));
  EXPECT_EQ(why, "settings_reader: no driver of this name is loaded");
}

KDPC_TEST(Loader, SettingsAreTheValuesOfItsRegistryKey) {
  settings.clear();
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("settings_reader"), why, {.name = "reader", .settings = {{"Depth", std::uint64_t{42}}, {"Title", "sound"}}}))
      << why;
  EXPECT_EQ(settings["direct"], 42u);
  EXPECT_EQ(settings["callback"], 42u);
  EXPECT_EQ(settings["default"], 9u);
  EXPECT_EQ(settings["text"], 10u);
}

NTSTATUS query(PCWSTR path, PCWSTR name, ULONG type, UCHAR* data) {
  RTL_QUERY_REGISTRY_TABLE table[2] = {};
  table[0].Flags = RTL_QUERY_REGISTRY_NOEXPAND | RTL_QUERY_REGISTRY_REQUIRED;
  table[0].Name = const_cast<PWSTR>(name);
  table[0].EntryContext = data;
  table[0].DefaultType = type;
  table[0].QueryRoutine = [](PWSTR, ULONG its_type, PVOID its_data, ULONG length, PVOID, PVOID out) NTAPI -> NTSTATUS {
    static_cast<UCHAR*>(out)[0] = static_cast<UCHAR>(its_type);
    static_cast<UCHAR*>(out)[1] = static_cast<UCHAR>(length);
    static_cast<UCHAR*>(out)[2] = static_cast<UCHAR*>(its_data)[0];
    return STATUS_SUCCESS;
  };
  return RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, path, table, nullptr, nullptr);
}

KDPC_TEST(Loader, SettingsMayBeListsAndLieInSubkeysOrAnywhere) {
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("settings_reader"), why,
                            {.name = "reader",
                             .settings = {{"Depth", std::uint64_t{1}},
                                          {"Title", "x"},
                                          {"Queue\\Length", std::uint64_t{7}},
                                          {"Names", std::vector<std::string>{"a", "bc"}},
                                          {"\\Registry\\Machine\\Hardware\\Clock", "fast"}}}))
      << why;
  m.on(0, PASSIVE_LEVEL, [] {
    UCHAR seen[3] = {};
    KDPC_EXPECT_EQ(query(u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\reader\\Queue", u"Length", REG_DWORD, seen), STATUS_SUCCESS);
    KDPC_EXPECT(seen[0] == REG_DWORD && seen[2] == 7);
    KDPC_EXPECT_EQ(query(u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\reader", u"Names", REG_MULTI_SZ, seen), STATUS_SUCCESS);
    KDPC_EXPECT(seen[0] == REG_MULTI_SZ && seen[1] == 12 && seen[2] == 'a');
    KDPC_EXPECT_EQ(query(u"\\Registry\\Machine\\Hardware", u"Clock", REG_SZ, seen), STATUS_SUCCESS);
    KDPC_EXPECT(seen[0] == REG_SZ && seen[1] == 10 && seen[2] == 'f');
  });
}

KDPC_TEST(Loader, PoolThatADriverLeavesBehindIsSaid) {
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("settings_reader"), why, {.settings = {{"Depth", std::uint64_t{13}}, {"Title", "x"}}})) << why;
  ASSERT_TRUE(m.unload_driver("settings_reader", why)) << why;
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_THAT(m.debug_lines().front().text,
              ::testing::StartsWith("kdpc: the driver is unloaded, but has not freed 100 bytes of pool with tag 'Leak'"));
}

KDPC_TEST(Loader, ExportsAreFoundByName) {
  m.on(0, PASSIVE_LEVEL, [] {
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, u"KeInsertQueueDpc");
    KDPC_EXPECT(MmGetSystemRoutineAddress(&name) == reinterpret_cast<PVOID>(&KeInsertQueueDpc));
    RtlInitUnicodeString(&name, u"KeMakeCoffee");
    KDPC_EXPECT(MmGetSystemRoutineAddress(&name) == nullptr);
    int local = 0;
    KDPC_EXPECT(MmIsAddressValid(&local));
    KDPC_EXPECT(!MmIsAddressValid(reinterpret_cast<PVOID>(0x10)));
  });
}

}  // namespace
