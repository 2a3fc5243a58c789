// A device connected by its messages: one interrupt object for each, and the table by which the driver knows them (SEMANTICS INT-9).
//
//   K.MSG-1  Either every message of the table is connected, or the table does not exist.
#pragma once
#include "io/pnp.h"
#include "kernel/interrupt.h"

namespace kdpc::io {

// What the driver is given is `info`; `info.MessageInfo` goes on behind the end.
struct MessageTable {
  MessageTable* next;  // R
  SpinLock lock;       //    of all messages, with the option message_lock = shared
  IO_INTERRUPT_MESSAGE_INFO info;
};

namespace messages {

// Passive. `table` is written when all messages are open: their routine may have run by then (INT-4).
NTSTATUS connect(const PhysicalDevice& device, const IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS& wanted, IO_INTERRUPT_MESSAGE_INFO*& table);
// For both: not a table that connect() gave and nobody has disconnected: bug check 0xC2.
void disconnect(const IO_INTERRUPT_MESSAGE_INFO* table);               // Passive
void set_active(const IO_INTERRUPT_MESSAGE_INFO* table, bool active);  // at most Dispatch

NTSTATUS status_of(ConnectResult result);

}  // namespace messages
}  // namespace kdpc::io
