// A scenario: which machine, devices, drivers and workload, and what is expected of the run. Read from a TOML file.
//
//   title = "A bad neighbour"
//   time_limit_ms = 10000              # of virtual time
//
//   [machine]                          # kind = "sim", processors = 1, memory_mb = 256; kind = "live", idle = "back-off"
//   [options]                          # the fields of kernel/options.h by name
//   [costs]                            # the names of machine/sim/costs.h, nanoseconds
//   [devices.sound]                    # model = "AC97" or "intel-hda", engine = "qemu", timer_period_us = 500, rate, channels, format, slot
//   [devices.com1]                     # model = "16550", baud, flow = "none", gap_us, clock_hz, far_end, line; or "adc", conversion_us, dead_after, stuck_after
//                                      # or "pulse", first_us, period_us, count, messages, spurious, duplicate, late_us, lost, storm, records, torn, early, piece_us, dead_after, stuck_after
//   [[drivers]]                        # name or file, device = "sound", parameters = { RunUs = 45000 }
//   [workload]                         # play = "a.wav", opens = '\\.\Ac97_0', period_ms, outstanding, processor, priority, explore_ms
//                                      # or receive = "a.txt", send = "b.txt", baud, read_bytes, handshake, opens, processor, priority, explore_ms
//   [expect]                           # dropouts = ">0", lost_bytes = 0, total_ms = "14..16", culprit = "hog", bugcheck = "DPC_WATCHDOG_VIOLATION"
//
// Paths are relative to the scenario's folder.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "kdpc/cards.h"
#include "kdpc/lab.h"
#include "tools/kdpc/toml_table.h"

namespace kdpc::tool {

inline constexpr const char* kAc97Model = "AC97";      // QEMU's, or our own
inline constexpr const char* kHdaModel = "intel-hda";  // QEMU's: a controller; it gets a codec that plays
inline constexpr const char* kUartModel = "16550";     // cards of our own
inline constexpr const char* kConverterModel = "adc";
inline constexpr const char* kPulseModel = "pulse";
inline constexpr unsigned kHighestBaud = 10'000'000;

struct DeviceWanted {
  std::string name;
  std::string model;      // a sound card, or another card of our own
  bool own = false;       // of a sound card: ours, and not QEMU's
  unsigned slot = 0;      // PCI; 0: the next free one
  unsigned rate = 48000;  // of what the card plays
  unsigned channels = 2;
  unsigned timer_period_us = 500;  // how often the card takes samples: interrupts and gaps are exact to this
  // Of cards of our own.
  unsigned line = 0;  // those with the same number share it
  unsigned baud = 115200;
  unsigned clock = 1'843'200;
  std::uint64_t gap_ns = 0;
  bool obeys_rts = false, waits_for_room = false;
  bool far_end_is_pty = false;
  std::uint64_t conversion_ns = 50'000;
  std::uint64_t first_ns = 100'000, period_ns = 100'000, count = ~std::uint64_t{0};  // of pulses
  unsigned messages = 0;
  std::uint64_t spurious = 0, duplicate = 0, late_ns = 0, lost = 0, storm = 0;
  unsigned records = 0;
  std::uint64_t torn = 0, piece_ns = 1'000;
  cards::PulseWish::Early early = cards::PulseWish::Early::Nothing;
  std::uint64_t dead_after = ~std::uint64_t{0}, stuck_after = ~std::uint64_t{0};
  Position position;
  bool plays() const { return model == kAc97Model || model == kHdaModel; }
  bool is_qemus() const { return plays() && !own; }
};

using RegistryValue = std::variant<std::uint64_t, std::string, std::vector<std::string>>;  // REG_DWORD or REG_QWORD, REG_SZ, REG_MULTI_SZ

struct DriverWanted {
  std::string name;            // its service's
  std::filesystem::path file;  // empty: to be searched for by name
  std::string device;          // of [devices]; empty: none
  std::map<std::string, RegistryValue> parameters;
  Position position;
};

struct WorkloadWanted {
  std::filesystem::path play;           // or …
  std::filesystem::path receive, send;  // one or both: a serial line is used
  unsigned baud = 115200;
  unsigned read_bytes = 256;
  bool rts_handshake = false;  // the driver takes RTS off while its own room is nearly full
  std::string opens;           // empty: the first name of a device of the sound driver
  double period_ms = 10;       // of sound in one write
  unsigned outstanding = 4;    // writes
  unsigned processor = 0;
  unsigned priority = 8;
  double explore_ms = 20;  // of sound, or of the line's time: so much of it is done in a run that is explored
  Position position;
  Position play_position;
  Position receive_position, send_position;
  bool uses_line() const { return !receive.empty() || !send.empty(); }
};

// ">0", "2..5", "3"
struct Range {
  double least = 0;
  double most = 0;
  bool least_excluded = false;
  std::string text;
  bool has(double value) const { return (least_excluded ? value > least : value >= least) && value <= most; }
};
std::optional<Range> range_from(const std::string& text);

struct Expectations {
  std::optional<Range> dropouts;  // how many; without any other expectation: 0
  std::optional<Range> total_ms;
  std::optional<Range> lost_bytes;      // of a serial line; without it: 0
  std::optional<std::string> culprit;   // a driver of the scenario, "nt" or "none"
  std::optional<std::string> bugcheck;  // a name, or 0x133
  std::optional<std::string> finding;   // the id of a rule check, or "none"
};

struct Scenario {
  std::filesystem::path file;
  std::string title;
  std::uint64_t time_limit_ns = 60'000'000'000;
  std::string machine = "sim";
  lab::Config config;
  std::vector<DeviceWanted> devices;
  std::vector<DriverWanted> drivers;
  std::optional<WorkloadWanted> workload;
  Expectations expect;
  bool faults = false;            // [explore]: let routines fail that may; the rest of it is config's
  std::uint64_t duration_ns = 0;  // how long to run where there is no workload

  const DeviceWanted* device(std::string_view name) const;
  std::vector<std::string> warnings() const;  // of what it has in vain: a device that no driver is given
  // The one that plays, or the line that is used; null: there is none.
  const DeviceWanted* sound_card() const;
  const DeviceWanted* serial_line() const;
  bool needs_qemu() const;
  const DeviceWanted* worked_on() const { return workload && workload->uses_line() ? serial_line() : sound_card(); }
};

// The Error has a line for everything that is wrong, each with file, line and column.
Result<Scenario> read_scenario(const std::filesystem::path& file);

}  // namespace kdpc::tool
