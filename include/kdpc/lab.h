// The lab: build a machine, run it, ask it what happened. For tests, tools and everybody else who hosts drivers.
//
//   std::string why;
//   auto machine = kdpc::lab::Machine::create({.processors = 2, .options = {{"irql_checks", "free"}}}, why);
//   machine->on(1, DISPATCH_LEVEL, [] { ... });              // runs in a thread of processor 1, raised; returns when it has run
//   machine->run_until([&] { return ready; }, 5ms);
//   if (machine->outcome().over()) puts(machine->outcome().report().c_str());
//
// Everything here is called on the host context: by the thread that created the machine, between steps of the run, never from inside a callback,
// a driver or a lambda given to on(). What may be used in those stands at the end of this file.
//
// A run may end for good: by a bug check, a deadlock, a failing device. Then nothing runs any more, and every question still has its answer.
#pragma once
#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "kdpc/device.h"
#include "kdpc/outcome.h"

struct _KDPC;  // the WDK's

namespace kdpc {

class EventSink;
class EventLog;
class Symbols;

namespace lab {

// A length of virtual time: 5ms, 100us, or a number of nanoseconds.
struct Duration {
  Nanoseconds nanoseconds;
  template <std::integral I>
  constexpr Duration(I count) : nanoseconds(static_cast<Nanoseconds>(count)) {}  // NOLINT(google-explicit-constructor)
  template <class Rep, class Period>
  constexpr Duration(std::chrono::duration<Rep, Period> time)  // NOLINT(google-explicit-constructor)
      : nanoseconds(static_cast<Nanoseconds>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count())) {}
};

// An IRQL: the WDK's PASSIVE_LEVEL … HIGH_LEVEL, or a plain number 0…15.
struct Level {
  std::uint8_t value;
  template <class T>
  requires(std::integral<T> || std::is_enum_v<T>) constexpr Level(T level)
      : value(static_cast<std::uint8_t>(level)) {}  // NOLINT(google-explicit-constructor)
};

// Names and values as in scenario files. An unknown name or value is an error that says which ones there are.
using Settings = std::map<std::string, std::string>;

// The rule checks (docs/checks.md): they listen to a run and find mistakes that Windows would not show, or not yet. An error ends the run; advice
// never does. Only where every fact of a run is told, which is the simulated machine.
struct Checks {
  bool on = true;
  bool keep_going = false;            // an error is noted, and the run goes on
  std::vector<std::string> off = {};  // ids of rules that are not wanted
  Settings limits = {};               // microseconds: dpc, isr, spin_lock, interrupt; runs in a row: requeues
  // Look for data races too, in the code of drivers' check variants. Certain: what nothing has ordered in this run. Suspected, as advice: also what only
  // chance has. A race does not end the run. Simulated machine only; for the whole life of the machine.
  enum class Races : std::uint8_t { Off, Certain, Suspected } races = Races::Off;
  // What `volatile` means to that. X64, as Microsoft's compiler has it there: its accesses order. Arm64: they are like any other.
  enum class MemoryModel : std::uint8_t { X64, Arm64 } memory_model = MemoryModel::X64;
  bool benign_races = false;  // as advice: also plain reads of what others change by interlocked operations
};

// How an idle processor of the live machine waits: it looks for a while, and then sleeps; it looks for ever, which takes a processor of the host's; or it
// sleeps at once, and takes some microseconds longer to wake.
enum class Idle : std::uint8_t { BackOff, Spin, Block };

// What may come from outside at any time, once in a run: where an order that is explored wants it (docs/explore.md), and nowhere else.
struct FromOutside {
  bool removal = false;                     // devices of attached boards are pulled out:
  std::vector<std::string> removable = {};  // these; none: all
  bool power = false;                       // the system sleeps, S3, and wakes
  bool cancel = false;                      // applications cancel all that they have asked for
  bool may_pull_out(std::string_view device) const {
    return removal && (removable.empty() || std::find(removable.begin(), removable.end(), device) != removable.end());
  }
};

struct Config {
  unsigned processors = 1;
  // The fields of kernel/options.h, {{"irql_checks", "free"}, {"dpc_queue_depth", "4"}}, and a profile for several of them, {{"profile", "win7"}};
  // docs/scenarios.md lists them all.
  Settings options = {};
  Settings costs = {};                          // of the simulated machine, nanoseconds: {{"isr_entry", "500"}}
  std::size_t memory = std::size_t{256} << 20;  // reserved, not used
  std::size_t remember_events = 1'000'000;      // the newest ones are kept; 0: none, and no question about events has an answer
  bool hash = true;                             // compute trace_hash()
  Checks checks = {};
  Idle idle = Idle::BackOff;
  FromOutside from_outside = {};  // simulated machine only
  // Asked whenever a condition is: true ends whatever waits for one, as if its limit had passed. For a user who may lose patience.
  std::function<bool()> interrupted = {};
  // Why only the simulated machine will do, as words that follow "it": "counts on the order of two processors' deeds". The live one is not made then.
  const char* simulated_only = nullptr;
};

// Which machine this program was linked with.
bool is_simulated();

// One fact of the run (kernel/events.h).
struct Field {
  std::string name;
  std::uint64_t value = 0;  // sign-extended where the field is signed
  std::string text;         // for people; the same in every run
};
struct EventRecord {
  Nanoseconds time = 0;
  unsigned processor = 0;
  unsigned irql = 0;
  unsigned thread = 0;
  std::string name;  // "dpc-queued"
  std::vector<Field> fields;
  bool has(std::string_view field) const;
  std::uint64_t operator[](std::string_view field) const;  // 0 if there is no such field
};

struct DebugLine {
  Nanoseconds time = 0;
  unsigned processor = 0;
  unsigned irql = 0;
  std::string text;  // without the final newline
};

struct ProcessorState {
  unsigned number = 0;
  unsigned irql = 0;
  unsigned thread = 0;  // the current one
  std::string thread_name;
  bool idle = false;
  bool dpc_routine_active = false;
  int dpc_depth = 0;            // queued now
  std::uint32_t dpc_count = 0;  // inserted, ever
  int maximum_dpc_queue_depth = 0;
  std::uint32_t dpc_request_rate = 0;
  std::uint64_t interrupts = 0;
  std::uint64_t unexpected_interrupts = 0;
  std::uint64_t kernel_ticks = 0, dpc_ticks = 0, interrupt_ticks = 0, idle_ticks = 0;
};

struct ThreadOptions {
  std::string name = "test";
  unsigned priority = 8;                      // 1…31
  Duration limit = std::chrono::seconds(30);  // on() gives up after this much virtual time
};

// How a driver is loaded. Its settings are the values of its registry key, \Registry\Machine\System\CurrentControlSet\Services\<name>, and of
// that key's subkey Parameters: numbers are REG_DWORD (REG_QWORD if they need it), texts REG_SZ, lists of texts REG_MULTI_SZ. A name Sub\Name is a
// value of a subkey, \Registry\Machine\… one anywhere.
using DriverSettings = std::vector<std::pair<std::string, std::variant<std::uint64_t, std::string, std::vector<std::string>>>>;
struct DriverOptions {
  std::string name = {};  // its service's; empty: the file's name without .drv
  DriverSettings settings = {};
};

// What became of a driver's settings: a name that is misspelt is never read, and the right one is asked for in vain.
struct SettingsUse {
  std::vector<std::string> unread;  // of those it was given
  std::vector<std::string> missed;  // names it has asked for and was not given
};

// How a device is started.
struct DeviceOptions {
  // Message-signalled interrupts, if the device has them. Fewer than it asks for means exactly one (INT-10); 0: it must use its line.
  unsigned most_messages = ~0u;
};

// A lambda that start() has sent into the machine. Copies name the same one.
class Task {
 public:
  Task() = default;
  bool done() const;  // it has returned and its level is lowered again

 private:
  friend class Machine;
  struct State;
  std::shared_ptr<State> state_;
};

class Machine {
 public:
  // Null, and `why` says the reason: a setting that does not exist, no memory at the World's address, a machine that exists already (one at a
  // time in a process).
  static std::unique_ptr<Machine> create(const Config& config, std::string& why);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The one there is, or null.
  static Machine* current();

  // -- running ------------------------------------------------------------------------------------------------------------------------------

  // True: the condition holds. It is asked between steps. False: outcome() says why not.
  bool run_until(const std::function<bool()>& condition, Duration limit);
  // False: the run is over.
  bool run_for(Duration time);

  // Runs `body` in a system thread on that processor, at Passive, raised to `irql` for the duration. Returns when it has run, true; or when the
  // run has ended or the limit has passed, false. gtest's macros must not be used in the body; KDPC_EXPECT may.
  bool on(unsigned processor, Level irql, std::function<void()> body, const ThreadOptions& options = {});
  // The same without waiting: the body runs when the machine does.
  Task start(unsigned processor, Level irql, std::function<void()> body, const ThreadOptions& options = {});

  // Sets the clock on the wall, in 100 ns since 1601: absolute timers follow it. Runs the machine for a moment, as on() does.
  bool set_system_time(std::uint64_t time);

  Nanoseconds now() const;         // the time the whole machine has reached
  const Outcome& outcome() const;  // of the last on(), run_until() or run_for(); a run that is over keeps its own
  const Config& config() const;
  // The options in force, all of them, by name.
  Settings options() const;
  // What the checks have found so far, oldest first; advice too.
  std::vector<Finding> findings() const;
  // How many data races are among them that are certain; quicker than findings().
  std::size_t certain_races() const;
  // Of those that are only suspected, the steps in which the two accessed what they did.
  struct Step {
    unsigned processor;
    std::uint64_t number;
  };
  std::vector<std::pair<Step, Step>> suspected_races() const;

  // -- hardware -----------------------------------------------------------------------------------------------------------------------------

  // The board must outlive the machine. Returns the machine's number of the board's line 0.
  unsigned attach(Board& board);
  // A line that belongs to no board. A level line interrupts for as long as it is asserted, an edge line once per assertion.
  unsigned add_line(bool level = true);
  void assign_line(unsigned line, unsigned vector, bool level = true);
  void assert_line(unsigned line);
  void deassert_line(unsigned line);
  void send_message(unsigned vector, unsigned processor = 0);  // an edge without a line

  // Live machine only. KeInsertQueueDpc for those outside: any thread of this process, at any time, also while the machine runs; and a signal handler,
  // if nobody listens to the machine's events (remember_events 0, neither hash nor checks). The DPC runs on its target processor, or on processor 0.
  // False: it is queued already; or this is the simulated machine, which has nobody outside, and it is not queued.
  static bool insert_dpc(_KDPC* dpc, void* argument1 = nullptr, void* argument2 = nullptr);

  // -- drivers ------------------------------------------------------------------------------------------------------------------------------
  // Each of these runs the machine until it is done. False: `why` says what failed, in words and as NTSTATUS; or the run is over, see outcome().

  // Loads a .drv file and calls DriverEntry. A file that is no driver, or that needs routines which do not exist (all are named), is refused.
  bool load_driver(const std::string& path, std::string& why, const DriverOptions& options = {});
  // Gives a device of an attached board to a loaded driver: its messages, or else its line, get vectors, AddDevice is called, IRP_MN_START_DEVICE
  // sent. The options count when the device is started for the first time. One that was stopped is started again.
  bool start_device(std::string_view device, std::string_view driver, std::string& why, const DeviceOptions& options = {});
  bool stop_device(std::string_view device, std::string& why);  // as for a rebalance: asked first, then stopped
  // Asks only: IRP_MN_QUERY_STOP_DEVICE (…REMOVE…), then the CANCEL request. False also if the driver said no.
  bool ask_to_stop_device(std::string_view device, std::string& why);
  bool ask_to_remove_device(std::string_view device, std::string& why);
  bool remove_device(std::string_view device, std::string& why);           // as by the device manager
  bool surprise_remove_device(std::string_view device, std::string& why);  // as by pulling it out
  // The whole system: started devices are asked (IRP_MN_QUERY_POWER), then told (IRP_MN_SET_POWER).
  bool sleep(std::string& why);      // S3; false also if a driver said no
  bool wake(std::string& why);       // S0
  bool shut_down(std::string& why);  // with IRP_MJ_SHUTDOWN to those who registered for it
  // Removes its devices, calls DriverUnload, and looks for what it leaves behind (PNP-3).
  bool unload_driver(std::string_view driver, std::string& why);
  // The names of a loaded driver's device objects: what DeviceFile::open() takes. Also those of interfaces it has enabled.
  std::vector<std::string> device_names(std::string_view driver) const;
  // A driver is loaded and has a dispatch routine of its own for IRP_MJ_…
  bool serves(std::string_view driver, unsigned major) const;
  // Of a driver that is, or was, loaded.
  SettingsUse settings_use(std::string_view driver) const;
  // The vector that interrupts for an attached device, for one of its messages if it was granted any; 0: it has none, or has not been started.
  unsigned vector_of(std::string_view device, unsigned message = 0) const;

  // Of what may come from outside (Config::from_outside). What it would do as this board, "sound is pulled out"; empty: it is no hand's. And what it has done.
  std::string hand_comes(unsigned board) const;
  std::vector<std::string> deeds_of_hand() const;
  bool hand_has_taken() const;                            // a device: who uses it may be refused
  bool hand_has_cancelled() const;                        // what applications had asked for
  bool can_be_pulled_out(std::string_view device) const;  // it is of an attached board, and to be
  std::string boards() const;                             // in their order: the devices of each; what a hand would do. "card, card is pulled out"

  // -- going back ---------------------------------------------------------------------------------------------------------------------------
  // Simulated machine only, and not from inside.

  // The run as it stands: a place to which it can return as often as one likes. Null, and `why` says the reason: the run is over, or a board keeps its
  // state in another process. To be destroyed before the machine.
  struct Mark;
  struct ForgetMark {
    void operator()(Mark* mark) const;
  };
  using MarkHandle = std::unique_ptr<Mark, ForgetMark>;
  MarkHandle mark(std::string& why);
  // Everything is as it was then: memory, time, drivers, devices, what listeners had heard; also when the run has ended meanwhile. Tasks that were started
  // since do not exist any more.
  void rewind(const Mark& mark);

  // -- questions ----------------------------------------------------------------------------------------------------------------------------

  // In the order in which they were stated. Both: only those of this name whose fields have these values; no name: all.
  using Filter = std::map<std::string, std::uint64_t>;
  std::vector<EventRecord> events(std::string_view name = {}, const Filter& filter = {}) const;
  std::size_t count(std::string_view name, const Filter& filter = {}) const;
  std::uint64_t events_forgotten() const;      // older than what is remembered
  std::uint64_t events_lost() const;           // that nobody was told of, as they came too fast; never on the simulated machine
  void forget_events();                        // questions are about what comes after
  std::vector<DebugLine> debug_lines() const;  // DbgPrint and its like
  ProcessorState processor_state(unsigned number) const;
  unsigned processors() const;
  std::string processor_table() const;                            // one line each, as text
  std::vector<std::string> last_events(std::size_t count) const;  // as lines of the text trace
  // The same for reports: without what the kernel does with its own locks, which is most of a trace and tells nobody anything about a driver.
  std::vector<std::string> last_events_that_tell(std::size_t count) const;
  std::uint64_t trace_hash() const;  // equal whenever the same run is repeated
  Place place_of(std::uintptr_t address) const;
  // What a debugger shows of the machine as it stands: "dpcs", "irql 1", "running -t" (docs/debugger.md). Words that are no view: a sentence that says so.
  std::string view(std::string_view command) const;
  // As it stands in an event's field; of objects and routines.
  template <class Pointer>
  requires std::is_pointer_v<Pointer>
  static std::uint64_t address_of(Pointer pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

  // Listeners of one's own (src/machine/sink.h), and the ones inside.
  void add_sink(EventSink& sink);
  void remove_sink(EventSink& sink);
  const EventLog& log() const;
  Symbols& symbols() const;

 private:
  struct Parts;
  explicit Machine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
  struct Devices;  // boards and vectors (lab/drivers.cc)
  std::shared_ptr<Devices> devices_;
  static std::shared_ptr<Devices> copy_of(const std::shared_ptr<Devices>& devices);
  void attach_hands();
};

// -- inside ---------------------------------------------------------------------------------------------------------------------------------
// What code inside the machine may leave for the host, at any IRQL, on any stack. Nothing here allocates. kdpc/test.h has the macros.

struct Value {
  enum class Kind : std::uint8_t { None, Signed, Unsigned, Boolean, Address } kind = Kind::None;
  std::uint64_t bits = 0;
  Value() = default;
  template <class T>
  requires(std::integral<T> || std::is_enum_v<T>) Value(T value) : bits(static_cast<std::uint64_t>(value)) {  // NOLINT(google-explicit-constructor)
    if constexpr (std::same_as<T, bool>) {
      kind = Kind::Boolean;
    } else if constexpr (std::is_enum_v<T>) {
      kind = Kind::Unsigned;
    } else {
      kind = std::is_signed_v<T> ? Kind::Signed : Kind::Unsigned;
    }
  }
  Value(const volatile void* pointer) : kind(Kind::Address), bits(reinterpret_cast<std::uint64_t>(pointer)) {}  // NOLINT(google-explicit-constructor)
  Value(std::nullptr_t) : kind(Kind::Address) {}                                                                // NOLINT(google-explicit-constructor)
  std::string text() const;
};

// An expectation that did not hold, or a rule that was proven (rule is set). The strings are literals.
struct Note {
  const char* expression = nullptr;
  const char* file = nullptr;
  int line = 0;
  const char* rule = nullptr;
  Value values[2];
};

// What an application does with a device, in a lambda given to on() at Passive. The handles are plain: close() and finish() must be called, and
// destruction does nothing, because a run may end at any moment.
struct IoResult {
  std::int32_t status = 0;        // NTSTATUS
  std::uint64_t information = 0;  // bytes
  bool ok() const { return status >= 0; }
};

// A request on its way.
class PendingIo {
 public:
  bool valid() const { return request_ != nullptr; }    // false: there was no memory for it
  bool wait(std::optional<Duration> limit = {}) const;  // false: the limit has passed
  bool cancel() const;                                  // true: a cancel routine of the driver was called
  IoResult finish();                                    // waits, hands over what was read; the handle is invalid then

 private:
  friend class DeviceFile;
  void* request_ = nullptr;
};

class DeviceFile {
 public:
  // \Device\Name, \??\Name, \\.\Name. NTSTATUS of the open.
  std::int32_t open(std::string_view name);
  void close();
  bool is_open() const { return file_ != nullptr; }

  IoResult read(void* buffer, std::size_t size, std::uint64_t offset = 0);
  IoResult write(const void* data, std::size_t size, std::uint64_t offset = 0);
  IoResult control(std::uint32_t code, const void* input = nullptr, std::size_t input_size = 0, void* output = nullptr, std::size_t output_size = 0);
  IoResult flush();  // IRP_MJ_FLUSH_BUFFERS: returns when everything written has arrived
  // The buffers must live until finish().
  PendingIo begin_read(void* buffer, std::size_t size, std::uint64_t offset = 0);
  PendingIo begin_flush();
  PendingIo begin_write(const void* data, std::size_t size, std::uint64_t offset = 0);
  PendingIo begin_control(std::uint32_t code, const void* input = nullptr, std::size_t input_size = 0, void* output = nullptr,
                          std::size_t output_size = 0);

 private:
  void* file_ = nullptr;
};

// STATUS_NO_SUCH_DEVICE (0xC000000E); anywhere.
std::string status_text(std::int32_t status);

void leave_note(const Note& note);
void sometimes(const char* text, bool reached);  // a goal, a literal: kdpc/explore.h tells which ones were reached in no run
bool is_running();                               // the machine runs: this may be inside
std::vector<Note> take_notes();                  // on the host: those left since the last call, oldest first
std::uint64_t notes_lost();                      // there was no room for so many

}  // namespace lab
}  // namespace kdpc
