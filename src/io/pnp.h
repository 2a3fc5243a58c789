// The root bus: every device of a board becomes a physical device object here, is given its resources, and is started, stopped and removed by
// sending PnP requests down its stack.
//
//    announced --start()--> AddDevice, IRP_MN_START_DEVICE --> started --remove()--> announced
//                                                              |  ^ '--surprise_remove()--> gone
//                                                        stop()|  |start()
//                                                              v  |
//                                                            stopped --remove()--> announced
//
//   K.PNP-1  What is done with devices, and with the system's power, is done one after the other, by whichever thread has its turn (guard letter T).
#pragma once
#include <span>
#include <string_view>

#include "io/dma.h"
#include "io/objects.h"
#include "kernel/workitem.h"

namespace kdpc::io {

// What the host knows of a device, told once.
struct DeviceFacts {
  std::string_view name;
  std::span<const RegisterRange> registers;
  int line = -1;            // the machine's number; -1: no interrupt
  std::uint8_t vector = 0;  // that the line was assigned
  bool level = true;
  bool shared = false;                          // others may be on the line
  bool passive = false;                         // its routines run at Passive
  std::span<const std::uint8_t> messages = {};  // the vectors of its messages; then it has no line
  bool msi_x = false;                           // each message is a resource of its own
  DmaMemory dma;
};

enum class PnpState : std::uint8_t { Announced, Started, Stopped, Gone };

namespace pnp {
// What PnP does in its own time, in a worker at Passive: one after the other, so that however many wait for their turn, one worker is kept by them.
struct Errand {
  Errand* next;
  WorkRoutine* routine;
  void* context;
};
}  // namespace pnp

struct PhysicalDevice {
  static constexpr unsigned kMostRanges = 8;
  PhysicalDevice* next;               // R
  DEVICE_OBJECT* object;              // I
  UNICODE_STRING name;                // I
  RegisterRange ranges[kMostRanges];  // I
  unsigned range_count;               // I
  int line;                           // I
  std::uint8_t vector;                // I
  bool level, shared, passive;        // I
  std::uint8_t* messages;             // I  the vectors of its messages …
  unsigned message_count;             // I  … 0: it interrupts by its line, if at all
  bool msi_x;                         // I
  DmaArena* arena;                    // I
  Driver* function_driver;            // T
  PnpState state;                     // T
  bool removing;                      // R  nobody has it open, and nobody can open it: IRP_MN_REMOVE_DEVICE is on its way
  bool closed;                        // R  `last_act` is to be done
  pnp::Errand last_act;               // R
  CM_RESOURCE_LIST* raw;              // I
  CM_RESOURCE_LIST* translated;       // I
};

namespace pnp {

// What was done last, and how it ended.
struct Step {
  NTSTATUS status = STATUS_SUCCESS;
  const char* what = "";
  bool ok() const { return NT_SUCCESS(status); }
};

// Holds the turn for the rest of the scope. Passive; each of the routines below takes it by itself.
class Turn {
 public:
  Turn() { fast_mutex::acquire(manager().pnp_turn); }
  ~Turn() { fast_mutex::release(manager().pnp_turn); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
};

// At most Dispatch. `errand` is nobody's any more when its routine is called.
void do_later(Errand& errand, WorkRoutine* routine, void* context);

// All in a thread at Passive.
Step announce(const DeviceFacts& facts);
PhysicalDevice* find(std::u16string_view name);
Step start(PhysicalDevice& device, Driver& driver);
// As for a rebalance of resources: asks with IRP_MN_QUERY_STOP_DEVICE, then stops it; start() goes on. A driver that refuses is told that it was
// not meant (IRP_MN_CANCEL_STOP_DEVICE).
Step stop(PhysicalDevice& device);
// Ask and take it back: the QUERY request, then its CANCEL, whatever the driver said.
Step ask_to_stop(PhysicalDevice& device);
Step ask_to_remove(PhysicalDevice& device);
Step remove(PhysicalDevice& device);
// IRP_MN_REMOVE_DEVICE follows at once, or when the last file has been closed.
Step surprise_remove(PhysicalDevice& device);
// A file of its stack has been closed.
void file_closed(PhysicalDevice& device);
// The same, whatever is being done with it just now: that comes to its end first. One that is not started is gone, and no driver hears of it.
void lose(PhysicalDevice& device);
// Its devices are removed, DriverUnload is called, queued DPCs are flushed (FLU-3), and what would have been left behind is looked for (PNP-3).
Step unload(Driver& driver);

// The PnP manager's questions after a driver's IoInvalidateDeviceState or …Relations. A device that says it has failed is removed.
void ask_for_state(PhysicalDevice& device);
void ask_for_relations(PhysicalDevice& device, DEVICE_RELATION_TYPE type);  // by whoever has the turn

}  // namespace pnp

// Nothing of a driver that is being unloaded may be left behind: bug checks for what NT stops for, remarks for the rest (PNP-3). Passive.
void audit_driver(const DRIVER_OBJECT& image);

// The system's power: every started device is asked, then told; drivers send the device requests that follow from it themselves. Passive.
namespace system_power {

pnp::Step go_to(SYSTEM_POWER_STATE state);
// S3 and, unless a driver has refused, S0 again; nothing comes in between.
void sleep_and_wake();
// IRP_MJ_SHUTDOWN to those who registered for it, then the power goes off.
pnp::Step shut_down();

}  // namespace system_power
}  // namespace kdpc::io
