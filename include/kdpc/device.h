// How hardware is modelled: a Board has its own time, interrupt lines and memory; its Devices have the registers a driver sees.
//
// The machine owns time. A board follows: it is advanced to the accessing processor's time before each register access, and while
// processors idle or stall it is advanced towards the next thing that anybody waits for.
//
// On the simulated machine everything here runs on its one host thread, and nothing here may read a host clock or a host random number, unless it
// cannot be seen in registers, lines or memory. On the live machine a board is in one context at a time: one processor's, at a raised level (so what
// a board does then must not wait for anybody), the host's, or that of a thread which has come in by BoardHost::enter().
//
// Errors: a board that fails (a child process died, a socket broke) calls BoardHost::fail once and from then on reads all ones.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kdpc {

using Nanoseconds = std::uint64_t;  // virtual time since the machine started
inline constexpr Nanoseconds kNever = ~Nanoseconds{0};

enum class BusSpace : std::uint8_t { Memory, Port };

// A range of registers, at the bus address a driver finds in its translated resources.
struct RegisterRange {
  BusSpace space = BusSpace::Memory;
  std::uint64_t base = 0;
  std::uint64_t size = 0;
};

// A file descriptor of Linux that is being watched (BoardHost::watch). That ends with this object, whose end waits for a call that is under way, or
// with the machine, whichever is first. To be destroyed by the host, outside of the board.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void again() = 0;  // any context; see Watching
};
enum class Watching : std::uint8_t {
  EveryTime,      // calls whenever something has come, whether or not what was there has been read
  UntilReadable,  // calls when there is something to read, and then no more until again()
  UntilWritable,  // the same when there is room for something
};

// What the machine offers to a board, from attach() until the machine is destroyed. Lines may be set and messages sent by any thread of the host's
// on the live machine; what comes while it stands still is delivered when it goes on.
class BoardHost {
 public:
  virtual ~BoardHost() = default;
  virtual Nanoseconds now() const = 0;
  virtual void set_line(unsigned line, bool asserted) = 0;  // the board's own numbering, 0…lines()-1; level as on the wire
  virtual void send_message(unsigned message) = 0;          // the board's own numbering, 0…messages()-1; an edge
  virtual void fail(std::string what) = 0;                  // the run ends as a host failure with this text
  // A device of the board's reads or writes these bytes of Board::dma() by itself: for who looks for data races, and for other orders. The simulated machine's
  // only, in which it comes before what the board says after it.
  virtual void dma_accessed(const std::byte* /*at*/, std::size_t /*size*/, bool /*write*/) {}

  // Does it with the board to itself, and looks then when something will next happen on it. For what changes a board from outside: a thread of its own
  // on the live machine, the host between two steps of a run on both.
  virtual void enter(const std::function<void()>& work) { work(); }
  // Live machine only: has `ready` called, with the board to itself, by a thread of the machine's. A machine that cannot, or a descriptor that cannot be
  // watched, such as a file's, is a failure of the board, and null.
  virtual std::unique_ptr<Watch> watch(int /*descriptor*/, Watching /*how*/, std::function<void()> /*ready*/) { return nullptr; }
};

// Memory that devices read and write by themselves. Drivers get it as common buffers.
struct DmaMemory {
  std::byte* host = nullptr;   // where `physical` is mapped in this process
  std::uint64_t physical = 0;  // bus address of the first byte
  std::size_t size = 0;
};

// Message-signalled interrupts: what a device can send instead of raising its line. A driver sees the two kinds as different resources.
struct MessageOffer {
  enum class Kind : std::uint8_t {
    None,
    Msi,   // 1, 2, 4, 8 or 16 of them, as one resource: consecutive vectors of one level
    MsiX,  // any number, each a resource with a vector of its own
  } kind = Kind::None;
  unsigned count = 0;
  unsigned first = 0;  // the board's number of the device's message 0; the others follow
};

// One function a driver can own.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view name() const = 0;                     // as written in scenarios: "ac97"
  virtual std::span<const RegisterRange> registers() const = 0;  // in the order of the device's base address registers
  virtual int line() const = 0;                                  // the board's line it raises, or -1; devices with the same number share it
  virtual MessageOffer messages() const { return {}; }
  // Told before a driver starts the device: how many of its messages it may send; the others do not exist for it. All it asked for, or one, or
  // none: then it raises its line. A message that was not granted, or whose device no driver has started, is lost.
  virtual void grant_messages(unsigned /*granted*/) {}
  // `offset` lies inside registers()[range]; width is 1, 2, 4 or 8 bytes. The board has been advanced to the access time.
  virtual std::uint64_t read(unsigned range, std::uint64_t offset, unsigned width) = 0;
  virtual void write(unsigned range, std::uint64_t offset, unsigned width, std::uint64_t value) = 0;
};

class Board {
 public:
  virtual ~Board() = default;
  virtual void attach(BoardHost& host) = 0;  // called once, before any other call
  virtual std::span<Device* const> devices() = 0;
  virtual unsigned lines() const = 0;
  virtual bool line_is_level(unsigned) const { return true; }
  // Behind a controller that itself can only be asked at PASSIVE_LEVEL: service routines of this line run there (SEMANTICS 2.5).
  virtual bool line_is_passive(unsigned) const { return false; }
  virtual unsigned messages() const { return 0; }  // of all its devices together
  // When something will next happen on this board by itself; kNever: only after a register access. kUnknown: the board cannot look ahead and
  // has to be advanced in steps while processors run.
  static constexpr Nanoseconds kUnknown = kNever - 1;
  // It may happen at any time, and never by itself: only who explores orders lets it come (docs/explore.md). To all others the same as kNever.
  static constexpr Nanoseconds kWhenever = kNever - 2;
  virtual Nanoseconds next_event() const = 0;
  // Threads of its own may set its lines and send its messages: nobody can say that nothing will ever happen again. Live machine only. What is watched
  // is known by itself.
  virtual bool acts_by_itself() const { return false; }
  // Runs the board's own time forward to `until`, or less far if a line changed or a message was sent on the way. Returns the time reached.
  virtual Nanoseconds advance_to(Nanoseconds until) = 0;
  // What goes on on the board independently of the rest, as its cards do: of these sources too each comes to its own time, and who explores orders lets one go on
  // before another. Each device belongs to one, with which it goes on before it is accessed. What is said above of the board is of all of them together.
  virtual unsigned sources() const { return 1; }
  virtual unsigned source_of(const Device&) const { return 0; }
  virtual Nanoseconds next_event_of(unsigned /*source*/) const { return next_event(); }
  virtual Nanoseconds advance_source(unsigned /*source*/, Nanoseconds until) { return advance_to(until); }
  // The device is pulled out of a board that goes on without it: it asks for no interrupt any more, also where others share its line. Its registers
  // are not reached again. False: the board cannot; then what is wired to nobody else is cut off.
  virtual bool pull_out(const Device&) { return false; }
  virtual DmaMemory dma() const { return {}; }  // empty: the machine's own memory is used
  // Writable state inside this object that a checkpoint must copy, with its dma(). A board whose state is elsewhere returns false from can_rewind().
  virtual std::span<std::byte> state() { return {}; }
  virtual bool can_rewind() const { return false; }
};

}  // namespace kdpc
